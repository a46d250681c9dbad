// Specs and inputs that the tests of node/launch begin with.
#ifndef TESTS_UNIT_LAUNCH_SPECS_H_
#define TESTS_UNIT_LAUNCH_SPECS_H_

#include "node/launch/plan.h"

namespace noded::launch {

// The least that is valid: a root and a command.
node::v1::ContainerSpec MinimalSpec();
// A private user namespace of 65,536 ids.
void MakeUserPrivate(node::v1::ContainerSpec& spec);
// A writable root on a host with one cgroup2 mount and a daemon with every capability.
Inputs PlainInputs();
// Some hierarchies of a hybrid host.
void MakeCgroupsV1(Inputs& inputs);

}  // namespace noded::launch

#endif  // TESTS_UNIT_LAUNCH_SPECS_H_
