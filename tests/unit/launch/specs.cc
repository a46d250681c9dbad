#include "tests/unit/launch/specs.h"

namespace noded::launch {

node::v1::ContainerSpec MinimalSpec() {
  node::v1::ContainerSpec spec;
  spec.mutable_root()->set_host_directory("/srv/busybox");
  spec.mutable_process()->add_argv("sh");
  return spec;
}

void MakeUserPrivate(node::v1::ContainerSpec& spec) {
  node::v1::Namespaces* namespaces = spec.mutable_namespaces();
  namespaces->mutable_user()->set_mode(node::v1::NAMESPACE_MODE_PRIVATE);
  for (node::v1::IdMap* map : {namespaces->add_uid_maps(), namespaces->add_gid_maps()}) {
    map->set_host_id(100000);
    map->set_size(65536);
  }
}

Inputs PlainInputs() {
  Inputs inputs;
  inputs.id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  inputs.lower = {"/srv/busybox"};
  inputs.upper = "/c/upper";
  inputs.work = "/c/work";
  inputs.hosts_file = "/c/hosts";
  inputs.resolv_conf_file = "/c/resolv.conf";
  inputs.hostname_file = "/c/hostname";
  inputs.host.cgroup_mounts = {{.type = "cgroup2", .target = "/sys/fs/cgroup", .options = ""}};
  inputs.host.own_capabilities = ~uint64_t{0};
  inputs.host.last_capability = 40;
  return inputs;
}

void MakeCgroupsV1(Inputs& inputs) {
  inputs.host.cgroup_mounts = {
      {.type = "cgroup", .target = "/sys/fs/cgroup/memory", .options = "memory"},
      {.type = "cgroup", .target = "/sys/fs/cgroup/cpu,cpuacct", .options = "cpu,cpuacct"},
      {.type = "cgroup", .target = "/sys/fs/cgroup/systemd", .options = "none,name=systemd"},
      {.type = "cgroup2", .target = "/sys/fs/cgroup/unified", .options = ""}};
}

}  // namespace noded::launch
