// A cgroup host drawn as text, laid out below a temporary directory. A picture is lines of
//
//   mount <path> <type> <super options>        what mountinfo has
//   file <path> <content>                      a file; | stands for a newline
//   new <path> <file> <content>                what mkdir below <path> puts into the new group
//
// Single-threaded.
#ifndef TESTS_UNIT_CGROUP_DRAWN_HOST_H_
#define TESTS_UNIT_CGROUP_DRAWN_HOST_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cgroup/cgroupfs.h"
#include "cgroup/driver.h"

namespace noded::cgroup {

extern const char kV1Host[];         // cpu and cpuacct mounted together, systemd's named hierarchy
extern const char kUnifiedBeside[];  // added to the v1 host: hybrid
extern const char kV2Host[];

class DrawnHost {
 public:
  explicit DrawnHost(const std::string& picture);
  ~DrawnHost();

  // Relative to the directory.
  bool Exists(const std::string& path) const;
  std::string Read(const std::string& path) const;
  void Write(const std::string& path, const std::string& content) const;
  void MakeDir(const std::string& path) const;
  void RemoveDir(const std::string& path) const;
  // Every directory of this name, wherever it is.
  std::vector<std::string> Directories(const std::string& name) const;

  absl::StatusOr<std::unique_ptr<Driver>> Open(const std::string& driver = "auto",
                                               const std::string& parent = "/noded",
                                               bool make_parent = true) const;

  // The n-th group that is made from now on fails with this errno.
  void FailMakeGroup(int nth, int error);
  void SetDeviceProgramsWork(bool work);
  // The rules given to AttachDevices, by the group's path.
  const std::map<std::string, std::vector<DeviceRule>>& attached() const;

 private:
  class Fs;
  std::string dir_;
  std::shared_ptr<Fs> fs_;
};

}  // namespace noded::cgroup

#endif  // TESTS_UNIT_CGROUP_DRAWN_HOST_H_
