// The flags of `run` and `create` that widen or narrow what a container may do.
#ifndef CLIENTS_CLI_SECURITY_FLAGS_H_
#define CLIENTS_CLI_SECURITY_FLAGS_H_

#include "clients/cli/flag_set.h"
#include "clients/cli/host.h"
#include "node/v1/container.pb.h"

namespace noded::cli {

// `host` and `security` must outlive `flags`.
void DeclareSecurityFlags(FlagSet& flags, const Host& host, node::v1::Security& security);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_SECURITY_FLAGS_H_
