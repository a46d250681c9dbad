// The container's output: read from its pipes or its terminal, written to the log, sent to attached
// clients. It blocks the container (by not reading) only while a full disk is to be waited for, and
// for a moment for an attached client. Single-threaded.
#ifndef NODE_SHIM_OUTPUT_H_
#define NODE_SHIM_OUTPUT_H_

#include <functional>
#include <memory>
#include <string>

#include "node/base/unique_fd.h"
#include "node/shim/attachments.h"
#include "node/shim/event_loop.h"
#include "node/shim/log_writer.h"
#include "node/shim/scratch.h"

namespace noded::shim {

class Output {
 public:
  Output(EventLoop& loop, Attachments& attachments);
  ~Output();

  // Before each launch.
  MaybeFailure OpenLog(int directory, const pb::LogPlan& plan);
  void CloseLog() { log_.reset(); }

  void StartPipes(UniqueFd output, UniqueFd error);
  // The slave is held until Drain: without it, a moment in which no process of the container has
  // the terminal open would read as its end.
  void StartTerminal(UniqueFd master, UniqueFd slave);
  // Borrowed; -1 without a terminal.
  int terminal() const { return terminal_ ? sources_[0].get() : -1; }

  // Reads on if nothing is in the way any more.
  void ContinueIfPossible();

  // Init has ended: reads to the end, at most until a process that has escaped and holds the
  // streams has been silent for two seconds; then the log is complete, and `done` is called.
  void Drain(std::function<void()> done);

 private:
  void OnReadable(Stream stream);
  void Deliver(Stream stream, std::string_view data);
  void CloseSource(Stream stream);
  void Watch();
  void Unwatch();
  bool paused() const { return log_->blocked() || attachments_.waiting(); }

  void RetryLog();
  void ArmTimers();
  void ArmSilence();
  void FinishIfDrained();

  EventLoop& loop_;
  Attachments& attachments_;
  Scratch buffer_;
  std::unique_ptr<LogWriter> log_;
  UniqueFd sources_[2];  // by Stream
  UniqueFd slave_;
  bool terminal_ = false;
  bool watched_ = false;
  std::string refused_;  // what a blocked log did not take, at most one read
  Stream refused_stream_ = Stream::kOutput;
  std::function<void()> done_;  // set while draining
  uint64_t partial_timer_ = 0, idle_timer_ = 0, retry_timer_ = 0, silence_timer_ = 0,
           give_up_timer_ = 0;
  bool read_since_idle_check_ = false;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_OUTPUT_H_
