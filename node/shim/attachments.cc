#include "node/shim/attachments.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

#include "node/base/file.h"

namespace noded::shim {
namespace {

constexpr char kOutputFrame = 1;
constexpr char kErrorFrame = 2;
constexpr char kMissedFrame = 3;
constexpr char kEndFrame = 4;
constexpr char kInputFrame = 5;
constexpr char kCloseInputFrame = 6;

// How long a client that keeps up is waited for.
constexpr std::chrono::milliseconds kPatience{500};
// What a socket holds for a client, in the kernel's memory; the default takes three full frames.
constexpr int kSocketBytes = 1 << 20;
// At the end there must be room for what is still due, however full it is: a frame that is held,
// the count of what was missed, and the end.
constexpr int kLastSocketBytes = 3 << 19;

constexpr uint32_t kRead = EPOLLIN, kWrite = EPOLLOUT;

enum class Sent { kDone, kFull, kGone };

Sent SendFrame(int socket, char type, std::string_view payload) {
  iovec parts[2] = {{&type, 1}, {const_cast<char*>(payload.data()), payload.size()}};
  msghdr header{};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  while (true) {
    if (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return Sent::kDone;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == ENOBUFS ? Sent::kFull : Sent::kGone;
  }
}

std::string LittleEndian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

// Without the right to go beyond the host's bound as far as that allows, which is twice the
// default.
void SetBuffer(int socket, int bytes) {
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) == 0) return;
  (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

bool Drained(int socket) {
  int unread = 0;
  return ioctl(socket, SIOCOUTQ, &unread) == 0 && unread == 0;
}

}  // namespace

Attachments::Attachments(EventLoop& loop, Input& input) : loop_(loop), input_(input) {
  input_.OnReady([this] { ResumeReading(); });
}

Attachments::~Attachments() {
  for (Attachment& attachment : attachments_) loop_.Forget(attachment.socket.get());
  loop_.Cancel(patience_);
  loop_.Cancel(progress_);
}

bool Attachments::Add(UniqueFd socket) {
  if (attachments_.size() >= kMaxAttachments) return false;
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBytes, sizeof(kSocketBytes));
  attachments_.emplace_back();
  Iterator added = std::prev(attachments_.end());
  added->socket = std::move(socket);
  added->reading = input_.ready();
  const uint32_t events = added->reading ? kRead : 0;
  if (!loop_.Watch(added->socket.get(), events,
                   [this, added](uint32_t events) { OnEvents(added, events); })) {
    attachments_.erase(added);
    return false;
  }
  if (ended_) {
    added->end_due = true;
    Flush(added);
  }
  return true;
}

void Attachments::Send(Stream stream, std::string_view data) {
  const char type = stream == Stream::kOutput ? kOutputFrame : kErrorFrame;
  for (Iterator next = attachments_.begin(); next != attachments_.end();) {
    Iterator attachment = next++;
    if (attachment->hung_up) continue;
    if (attachment->missed > 0 && !Flush(attachment)) continue;
    if (attachment->missed > 0 || !attachment->held.empty()) {
      attachment->missed += data.size();
      continue;
    }
    switch (SendFrame(attachment->socket.get(), type, data)) {
      case Sent::kDone:
        break;
      case Sent::kFull:
        Hold(*attachment, type, data);
        break;
      case Sent::kGone:
        Remove(attachment);
        break;
    }
  }
}

void Attachments::Hold(Attachment& attachment, char type, std::string_view data) {
  if (attachment.lagging && Drained(attachment.socket.get())) attachment.lagging = false;
  if (attachment.lagging) {
    attachment.missed += data.size();
  } else {
    attachment.held = type;
    attachment.held += data;
    ++waiting_;
    if (patience_ == 0) patience_ = loop_.After(kPatience, [this] { GiveUpWaiting(); });
  }
  Rewatch(attachment);
}

void Attachments::StopWaiting() {
  if (--waiting_ > 0) return;
  loop_.Cancel(patience_);
  patience_ = 0;
}

void Attachments::GiveUpWaiting() {
  patience_ = 0;
  for (Attachment& attachment : attachments_) {
    if (attachment.held.empty()) continue;
    attachment.missed += attachment.held.size() - 1;
    attachment.held = std::string();
    attachment.lagging = true;
  }
  waiting_ = 0;
  TellProgress();
}

// Sends what is due, in its order: what was held, what was missed, the end. False: the client has
// gone, and with it the attachment.
bool Attachments::Flush(Iterator attachment) {
  const int socket = attachment->socket.get();
  Sent sent = Sent::kDone;
  if (!attachment->held.empty()) {
    std::string_view held = attachment->held;
    sent = SendFrame(socket, held.front(), held.substr(1));
    if (sent == Sent::kDone) {
      attachment->held = std::string();
      StopWaiting();
    }
  }
  if (sent == Sent::kDone && attachment->missed > 0) {
    sent = SendFrame(socket, kMissedFrame, LittleEndian(attachment->missed));
    if (sent == Sent::kDone) attachment->missed = 0;
  }
  if (sent == Sent::kDone && attachment->end_due) {
    sent = SendFrame(socket, kEndFrame, {});
    if (sent == Sent::kDone) attachment->end_due = false;
  }
  if (sent == Sent::kGone) {
    Remove(attachment);
    return false;
  }
  Rewatch(*attachment);
  return true;
}

void Attachments::End() {
  ended_ = true;
  for (Iterator next = attachments_.begin(); next != attachments_.end();) {
    Iterator attachment = next++;
    attachment->end_due = true;
    SetBuffer(attachment->socket.get(), kLastSocketBytes);
    Flush(attachment);
  }
}

bool Attachments::flushed() const {
  for (const Attachment& attachment : attachments_) {
    if (attachment.hung_up) continue;
    if (attachment.end_due || attachment.missed > 0 || !attachment.held.empty()) return false;
  }
  return true;
}

void Attachments::OnEvents(Iterator attachment, uint32_t events) {
  if (events & EPOLLIN) {
    ReadInput(attachment);  // removes it at the end of file, after all that was sent
    return;
  }
  if (events & (EPOLLHUP | EPOLLERR)) {
    // What it has sent is still to go to the container, which may not be ready for it; the hang-up
    // would be told all the time until then.
    loop_.Forget(attachment->socket.get());
    if (!attachment->held.empty()) StopWaiting();
    attachment->held = std::string();
    attachment->hung_up = true;
    if (input_.ready()) ReadInput(attachment);
    TellProgress();
    return;
  }
  if (events & EPOLLOUT) {
    Flush(attachment);
    TellProgress();
  }
}

// From the loop and not at once, because what is done then may send, and this may be in the middle
// of sending.
void Attachments::TellProgress() {
  if (progress_ != 0 || !on_progress_) return;
  progress_ = loop_.After(std::chrono::milliseconds(0), [this] {
    progress_ = 0;
    on_progress_();
  });
}

void Attachments::ReadInput(Iterator attachment) {
  // One frame for one that lives, so that nobody holds up the loop; all for one that has gone,
  // since no event follows.
  do {
    ssize_t got = recv(attachment->socket.get(), buffer_->data(), kMaxPayload + 1, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      Remove(attachment);
      return;
    }
    const std::string_view frame(buffer_->data(), static_cast<size_t>(got));
    if (frame.front() == kInputFrame) {
      attachment->sent_input = true;
      input_.Write(frame.substr(1));
    } else if (frame.front() == kCloseInputFrame) {
      input_.End();
    }
    if (!input_.ready()) {
      for (Attachment& each : attachments_) {
        each.reading = false;
        Rewatch(each);
      }
      return;
    }
  } while (attachment->hung_up);
}

void Attachments::ResumeReading() {
  for (Iterator next = attachments_.begin(); next != attachments_.end();) {
    Iterator attachment = next++;
    attachment->reading = true;
    if (attachment->hung_up) {
      ReadInput(attachment);
      if (!input_.ready()) return;
    } else {
      Rewatch(*attachment);
    }
  }
}

void Attachments::Rewatch(Attachment& attachment) {
  if (attachment.hung_up) return;
  const bool due = attachment.end_due || attachment.missed > 0 || !attachment.held.empty();
  loop_.Change(attachment.socket.get(), (attachment.reading ? kRead : 0) | (due ? kWrite : 0));
}

void Attachments::Remove(Iterator attachment) {
  const bool ends_input = attachment->sent_input && input_once_;
  loop_.Forget(attachment->socket.get());
  if (!attachment->held.empty()) StopWaiting();
  attachments_.erase(attachment);
  if (ends_input) input_.End();
  TellProgress();
}

}  // namespace noded::shim
