#include "server/notify.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "node/base/status.h"
#include "node/base/unique_fd.h"

namespace noded::server {

absl::Status NotifyServiceManager(const std::string& socket, std::string_view state) {
  if (socket.empty()) return absl::OkStatus();
  sockaddr_un address = {.sun_family = AF_UNIX};
  if ((socket[0] != '/' && socket[0] != '@') || socket.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError("NOTIFY_SOCKET is neither a path nor an abstract name");
  }
  socket.copy(address.sun_path, socket.size());
  if (socket[0] == '@') address.sun_path[0] = '\0';
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoStatus(errno, "make a socket for the service manager");
  const socklen_t length = offsetof(sockaddr_un, sun_path) + socket.size();
  if (::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), length) < 0) {
    return ErrnoStatus(errno, "tell the service manager");
  }
  return absl::OkStatus();
}

}  // namespace noded::server
