// How pulls and pushes are shown: a bar for each content on a terminal, lines elsewhere.
#ifndef CLIENTS_CLI_PROGRESS_H_
#define CLIENTS_CLI_PROGRESS_H_

#include <google/protobuf/repeated_ptr_field.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/io.h"
#include "node/v1/image_service.pb.h"

namespace noded::cli {

using TransferChanges = google::protobuf::RepeatedPtrField<node::v1::TransferProgress>;

// What is known of each content, in the order in which they were first told of. Pure.
class TransferBoard {
 public:
  // Takes what has changed; returns a line for each content that is at something else than before.
  std::string Take(const TransferChanges& changes);
  // A line for each content, at most `rows` of them and each less than `columns` wide. When there
  // are too many, those that are done give way to one line that counts them, then the last ones.
  std::vector<std::string> Lines(size_t columns, size_t rows) const;

 private:
  std::vector<node::v1::TransferProgress> contents_;
};

// The board on a descriptor. Bars are drawn over the former ones and the cursor always rests in the
// line below them, so that nothing has to be tidied when it ends early. Single-threaded.
class TransferView {
 public:
  // `fd` is io.out or io.err, and borrowed; `bars` whether it is a terminal.
  TransferView(const Io& io, int fd, bool bars) : io_(io), fd_(fd), bars_(bars) {}
  // False when nobody reads our output any more.
  bool Take(const TransferChanges& changes);
  // Draws what was held back, for the last time.
  void Finish();

 private:
  bool Draw();
  bool Write(absl::string_view text) const;

  const Io& io_;
  const int fd_;
  const bool bars_;
  TransferBoard board_;
  size_t drawn_ = 0;  // lines on the screen
  bool stale_ = false;
  absl::Time drawn_at_ = absl::InfinitePast();
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_PROGRESS_H_
