// node-shim ID: the supervisor of one container. noded starts it with
//   fd 3  a listening seqpacket socket
//   fd 4  the container's directory
// and speaks to it over the socket; proto/node/shim/v1/shim.proto is its interface.
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>

#include "node/base/file.h"
#include "node/shim/supervisor.h"

namespace {

constexpr int kListener = 3;
constexpr int kDirectory = 4;

bool IsListeningSocket(int fd) {
  int listening = 0;
  socklen_t size = sizeof(listening);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening == 1;
}

bool IsDirectory(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
}

void PrepareProcess() {
  // Away from noded's terminal and process group: what ends those does not end containers.
  (void)setsid();
  (void)prctl(PR_SET_NAME, "node-shim", 0, 0, 0);
  // Its children enter containers with descriptors of the host in their tables; nobody may trace
  // them.
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // Orphans of a container in the host's pid namespace stay below its supervisor.
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // Blocked, all of them: a supervisor ends when its container has ended, and SIGPIPE is told by
  // EPIPE. Blocked and not ignored, because an ignored signal stays ignored across execve, and a
  // container would inherit that.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  (void)close_range(kDirectory + 1, UINT_MAX, 0);
  fcntl(kListener, F_SETFD, FD_CLOEXEC);
  fcntl(kDirectory, F_SETFD, FD_CLOEXEC);
  (void)noded::SetNonblocking(kListener);
  // Not noded's, which might be a file system that is to be unmounted.
  if (chdir("/") != 0) _exit(1);
  // Small and returned at once: a supervisor is mostly idle, and there is one for each container.
  mallopt(M_TOP_PAD, 0);
  mallopt(M_TRIM_THRESHOLD, 16 << 10);
  mallopt(M_MMAP_THRESHOLD, 64 << 10);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !IsListeningSocket(kListener) || !IsDirectory(kDirectory)) {
    dprintf(STDERR_FILENO,
            "usage: node-shim ID, with a listening socket as descriptor 3 and the container's "
            "directory as 4; started by noded\n");
    return 2;
  }
  PrepareProcess();
  noded::shim::Supervisor supervisor{noded::UniqueFd(kListener), noded::UniqueFd(kDirectory)};
  return supervisor.Run();
}
