// What a container's directory holds besides its record: the writable layer, the files given at
// /etc, the log. Blocks on the file system of the root directory.
//
//   upper/ work/                       the writable layer (of a read-only root: its mount points)
//   etc/hosts etc/resolv.conf etc/hostname
//   log/                               written by node-shim
//   pid exit shim.log                  written by node-shim
#ifndef NODE_ROOT_FILES_H_
#define NODE_ROOT_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "node/v1/container.pb.h"

namespace noded {

struct RootFiles {
  explicit RootFiles(const std::string& directory)
      : upper(directory + "/upper"),
        work(directory + "/work"),
        etc(directory + "/etc"),
        hosts(etc + "/hosts"),
        resolv_conf(etc + "/resolv.conf"),
        hostname(etc + "/hostname"),
        log(directory + "/log") {}

  std::string upper, work, etc, hosts, resolv_conf, hostname, log;
};

// Makes them in an existing directory. `root` is the topmost directory below the writable layer,
// whose mode "/" has inside. `hostname` is the name inside. `shared_etc`: the etc directory of the
// container whose network is joined; empty: none.
absl::Status MakeRootFiles(const RootFiles& files, const node::v1::ContainerSpec& spec,
                           const std::string& root, const std::string& hostname,
                           const std::string& shared_etc);

// The text of /etc/hosts. Pure.
std::string HostsFile(const node::v1::ContainerSpec& spec, const std::string& hostname);

}  // namespace noded

#endif  // NODE_ROOT_FILES_H_
