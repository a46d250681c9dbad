#include "node/shim/input.h"

#include <cerrno>

#include "node/base/file.h"

namespace noded::shim {
namespace {

constexpr char kEndOfFileCharacter = 4;  // ^D

}  // namespace

void Input::Start(UniqueFd end, bool terminal) {
  end_ = std::move(end);
  terminal_ = terminal;
  started_ = true;
  // The flag is on this end's open file, which the container does not share.
  if (end_ && !SetNonblocking(end_.get()).ok()) end_.Reset();
  if (on_ready_) on_ready_();
}

void Input::Write(std::string_view data) {
  if (!end_ || ending_) return;
  pending_.assign(data);
  WritePending();
}

void Input::WritePending() {
  size_t done = 0;
  while (done < pending_.size()) {
    ssize_t wrote = write(end_.get(), pending_.data() + done, pending_.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) {
      pending_.erase(0, done);
      if (!watched_) {
        watched_ = loop_.Watch(end_.get(), EPOLLOUT, [this](uint32_t) {
          WritePending();
          if (ready() && on_ready_) on_ready_();
        });
      }
      return;
    }
    if (wrote < 0) {
      // Nobody reads it any more: what clients still send is thrown away.
      Close();
      return;
    }
    done += static_cast<size_t>(wrote);
  }
  pending_ = std::string();
  if (watched_) loop_.Forget(end_.get());
  watched_ = false;
  if (ending_) Close();
}

void Input::End() {
  if (!end_ || ending_) return;
  if (terminal_) {
    pending_ += kEndOfFileCharacter;
    WritePending();
    return;
  }
  ending_ = true;
  if (pending_.empty()) Close();
}

void Input::Close() {
  if (watched_) loop_.Forget(end_.get());
  watched_ = false;
  pending_ = std::string();
  end_.Reset();
}

void Input::Reset() {
  Close();
  started_ = terminal_ = ending_ = false;
}

}  // namespace noded::shim
