#include "node/shim/terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>

#include "node/base/syscalls.h"

namespace noded::shim {

MaybeFailure OpenTerminal(int root, Terminal* out) {
  const char* path = "/dev/pts/ptmx";
  Terminal terminal;
  terminal.master.Reset(OpenInRoot(root, path, O_RDWR | O_NOCTTY));
  if (!terminal.master) return Fail(pb::FAILURE_STEP_TERMINAL, errno, path);
  // A file that an image put there is no multiplexer.
  struct statfs where;
  if (fstatfs(terminal.master.get(), &where) != 0 || where.f_type != DEVPTS_SUPER_MAGIC) {
    return Fail(pb::FAILURE_STEP_TERMINAL, ENODEV, path, "without devpts");
  }
  int locked = 0;
  if (ioctl(terminal.master.get(), TIOCSPTLCK, &locked) != 0) {
    return Fail(pb::FAILURE_STEP_TERMINAL, errno, path, "to unlock it");
  }
  // By the master and not by the name /dev/pts/N, which the container could have put something else
  // under.
  terminal.slave.Reset(ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return Fail(pb::FAILURE_STEP_TERMINAL, errno, path, "to open its other end");
  *out = std::move(terminal);
  return std::nullopt;
}

bool ResizeTerminal(int master, uint32_t width, uint32_t height) {
  if (width == 0 || height == 0) return true;
  winsize size{};
  size.ws_col = static_cast<uint16_t>(std::min<uint32_t>(width, UINT16_MAX));
  size.ws_row = static_cast<uint16_t>(std::min<uint32_t>(height, UINT16_MAX));
  return ioctl(master, TIOCSWINSZ, &size) == 0;
}

}  // namespace noded::shim
