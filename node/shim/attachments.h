// Clients attached to the container's standard streams, each by a seqpacket socket;
// proto/node/shim/v1/shim.proto tells the frames. A client that does not keep up is waited for once
// and for a moment, so that one which merely was not scheduled loses nothing; after that it is told
// what it missed, and nobody waits for it until it has caught up. Single-threaded.
#ifndef NODE_SHIM_ATTACHMENTS_H_
#define NODE_SHIM_ATTACHMENTS_H_

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "node/base/unique_fd.h"
#include "node/shim/event_loop.h"
#include "node/shim/input.h"
#include "node/shim/log_writer.h"
#include "node/shim/scratch.h"

namespace noded::shim {

class Attachments {
 public:
  static constexpr size_t kMaxPayload = 64 << 10;
  static constexpr size_t kMaxAttachments = 64;

  Attachments(EventLoop& loop, Input& input);
  ~Attachments();

  // `buffer` is borrowed for the moment of each read; of at least kMaxPayload + 1 bytes.
  void UseBuffer(Scratch& buffer) { buffer_ = &buffer; }
  // Called from the loop after waiting() or flushed() may have changed.
  void OnProgress(std::function<void()> callback) { on_progress_ = std::move(callback); }
  void EndInputWithFirst(bool once) { input_once_ = once; }

  // False: there are too many.
  bool Add(UniqueFd socket);
  // At most kMaxPayload bytes.
  void Send(Stream stream, std::string_view data);
  // A client is waited for: better read no more of the container's output yet.
  bool waiting() const { return waiting_ > 0; }
  // Says to all that everything was sent, and how much of it they missed: even to one that reads no
  // more, whose socket takes that beyond its bound. Those who come later are told at once.
  void End();
  // Whether something is still to be sent.
  bool flushed() const;

 private:
  struct Attachment {
    UniqueFd socket;
    uint64_t missed = 0;
    std::string held;      // a frame that did not fit, while it is waited for
    bool lagging = false;  // is not waited for
    bool end_due = false;
    bool sent_input = false;
    bool hung_up = false;
    bool reading = true;
  };
  using Iterator = std::list<Attachment>::iterator;

  void OnEvents(Iterator attachment, uint32_t events);
  void ReadInput(Iterator attachment);
  void ResumeReading();
  bool Flush(Iterator attachment);
  void TellProgress();
  void Hold(Attachment& attachment, char type, std::string_view data);
  void StopWaiting();
  void GiveUpWaiting();
  void Rewatch(Attachment& attachment);
  void Remove(Iterator attachment);

  EventLoop& loop_;
  Input& input_;
  Scratch* buffer_ = nullptr;
  std::function<void()> on_progress_;
  std::list<Attachment> attachments_;
  int waiting_ = 0;
  uint64_t patience_ = 0;  // timer
  uint64_t progress_ = 0;  // timer
  bool input_once_ = false;
  bool ended_ = false;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_ATTACHMENTS_H_
