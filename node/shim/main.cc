// node-shim: the supervisor of one container. noded starts it with its end of a seqpacket socket as
// descriptor 3 and speaks to it over that; proto/node/shim/v1/shim.proto is its interface.
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <string>

#include "node/base/file.h"
#include "node/shim/process_title.h"
#include "node/shim/supervisor.h"

namespace {

constexpr int kConnection = 3;
// Not "node-shim", so that who counts supervisors counts containers.
constexpr char kSpareTitle[] = "spare-shim";

bool IsConnectedSocket(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  sockaddr_storage peer;
  socklen_t peer_size = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0;
}

void PrepareProcess() {
  // Away from noded's terminal and process group: what ends those does not end containers.
  (void)setsid();
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
  (void)close_range(kConnection + 1, UINT_MAX, 0);
  fcntl(kConnection, F_SETFD, FD_CLOEXEC);
  (void)noded::SetNonblocking(kConnection);
  // Not noded's, which might be a file system that is to be unmounted.
  if (chdir("/") != 0) _exit(1);
  // Small and returned at once: a supervisor is mostly idle, and there is one for each container.
  mallopt(M_TOP_PAD, 0);
  mallopt(M_TRIM_THRESHOLD, 16 << 10);
  mallopt(M_MMAP_THRESHOLD, 64 << 10);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 1 || !IsConnectedSocket(kConnection)) {
    dprintf(STDERR_FILENO,
            "usage: node-shim, with a connected seqpacket socket as descriptor 3; started by "
            "noded\n");
    return 2;
  }
  PrepareProcess();
  noded::shim::ProcessTitle title(argc, argv);
  title.Set(kSpareTitle);
  noded::shim::Supervisor supervisor(
      noded::UniqueFd(kConnection),
      [&title](const std::string& container_id) { title.Set("node-shim", container_id); });
  return supervisor.Run();
}
