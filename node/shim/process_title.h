// What a list of processes shows of this one: its name (comm) and its command line.
#ifndef NODE_SHIM_PROCESS_TITLE_H_
#define NODE_SHIM_PROCESS_TITLE_H_

#include <cstddef>
#include <string>

namespace noded::shim {

class ProcessTitle {
 public:
  // main's arguments. They are overwritten in place, the way that proc(5) describes for
  // /proc/pid/cmdline, so no title is longer than they are.
  ProcessTitle(int argc, char** argv);

  // `name` as the program, at most 15 bytes of it in comm; `argument` after it unless it is empty.
  void Set(const std::string& name, const std::string& argument = {});

 private:
  char* const begin_;
  const size_t size_;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_PROCESS_TITLE_H_
