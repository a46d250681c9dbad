// From root to the plan's user: identity look-up, groups, ids, capabilities. In the child alone.
#ifndef NODE_SHIM_CREDENTIALS_H_
#define NODE_SHIM_CREDENTIALS_H_

#include "node/shim/failure.h"
#include "rootfs/mount/user.h"

namespace noded::shim {

// Looks the user up in the container's own files, which are read only if the plan needs them.
MaybeFailure LookUpUser(int root, const pb::ProcessPlan& plan, mount::User* out);
// Clears PR_SET_PDEATHSIG, as the kernel does at any change of credentials.
MaybeFailure BecomeUser(const mount::User& user, const pb::CapabilityPlan& capabilities);
// Root of the user namespace just entered: until then the ids are those of nobody.
MaybeFailure BecomeNamespaceRoot();
// What a reaping init keeps: the right to signal its child, whoever that is.
void KeepOnlyKill();

}  // namespace noded::shim

#endif  // NODE_SHIM_CREDENTIALS_H_
