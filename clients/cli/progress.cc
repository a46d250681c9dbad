#include "clients/cli/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "clients/cli/output.h"
#include "clients/cli/terminal.h"

namespace noded::cli {
namespace {

using node::v1::TransferProgress;
using node::v1::TransferState;

// People see no more than this, and a slow line should not be filled with it.
constexpr absl::Duration kBetweenDrawings = absl::Milliseconds(100);
constexpr size_t kWidestBar = 50;
constexpr size_t kStateWidth = 11;  // of "Downloading", the longest

absl::string_view Words(TransferState state) {
  switch (state) {
    case node::v1::TRANSFER_STATE_WAITING:
      return "Waiting";
    case node::v1::TRANSFER_STATE_DOWNLOADING:
      return "Downloading";
    case node::v1::TRANSFER_STATE_UNPACKING:
      return "Unpacking";
    case node::v1::TRANSFER_STATE_UPLOADING:
      return "Uploading";
    case node::v1::TRANSFER_STATE_DONE:
      return "Done";
    case node::v1::TRANSFER_STATE_PRESENT:
      return "Present";
    default:
      return "Working";
  }
}

bool IsOver(const TransferProgress& content) {
  return content.state() == node::v1::TRANSFER_STATE_DONE ||
         content.state() == node::v1::TRANSFER_STATE_PRESENT;
}

bool IsMoving(const TransferProgress& content) {
  return content.state() == node::v1::TRANSFER_STATE_DOWNLOADING ||
         content.state() == node::v1::TRANSFER_STATE_UNPACKING ||
         content.state() == node::v1::TRANSFER_STATE_UPLOADING;
}

std::string Bytes(int64_t bytes) {
  return DecimalSize(static_cast<uint64_t>(std::max<int64_t>(0, bytes)));
}

// "[=====>     ] 3.2MB/10MB", or without the bar where there is no room for one.
std::string Amount(const TransferProgress& content, size_t room) {
  if (content.total_bytes() <= 0) return Bytes(content.current_bytes());
  std::string figures =
      absl::StrCat(Bytes(content.current_bytes()), "/", Bytes(content.total_bytes()));
  // The figures' own width changes; the bar's should not.
  constexpr size_t kFigures = 16;
  if (room < kFigures + 10) return figures;
  const size_t width = std::min(kWidestBar, room - kFigures - 3);
  const double part = std::clamp(
      static_cast<double>(content.current_bytes()) / static_cast<double>(content.total_bytes()),
      0.0, 1.0);
  const size_t full = static_cast<size_t>(part * static_cast<double>(width));
  std::string bar(full, '=');
  if (full < width) bar += '>';
  bar.resize(width, ' ');
  return absl::StrCat("[", bar, "] ", figures);
}

std::string Line(const TransferProgress& content, size_t columns) {
  std::string state(Words(content.state()));
  state.resize(kStateWidth, ' ');
  std::string line = absl::StrCat(Printable(ShortDigest(content.digest())), ": ", state, " ");
  if (IsMoving(content)) {
    line += Amount(content, columns > line.size() ? columns - line.size() : 0);
  } else if (content.total_bytes() > 0) {
    line += Bytes(content.total_bytes());
  }
  return line;
}

}  // namespace

std::string TransferBoard::Take(const TransferChanges& changes) {
  std::string news;
  for (const TransferProgress& change : changes) {
    auto known = std::find_if(contents_.begin(), contents_.end(), [&](const TransferProgress& one) {
      return one.digest() == change.digest();
    });
    if (known == contents_.end() || known->state() != change.state()) {
      absl::StrAppend(&news, Printable(ShortDigest(change.digest())), ": ", Words(change.state()));
      if (change.total_bytes() > 0) absl::StrAppend(&news, " ", Bytes(change.total_bytes()));
      news += '\n';
    }
    if (known == contents_.end()) {
      contents_.push_back(change);
    } else {
      *known = change;
    }
  }
  return news;
}

std::vector<std::string> TransferBoard::Lines(size_t columns, size_t rows) const {
  std::vector<std::string> lines;
  const size_t width = columns > 1 ? columns - 1 : 1;  // a full line would wrap
  const bool fold = contents_.size() > rows;
  size_t over = 0;
  for (const TransferProgress& content : contents_) {
    if (fold && IsOver(content)) {
      ++over;
    } else {
      lines.push_back(Line(content, width));
    }
  }
  if (over > 0) lines.insert(lines.begin(), absl::StrCat(over, " more: Done"));
  if (lines.size() > rows) lines.resize(std::max<size_t>(1, rows));
  for (std::string& line : lines) {
    if (line.size() > width) line.resize(width);  // digests, words and figures are ASCII
    line = std::string(absl::StripTrailingAsciiWhitespace(line));
  }
  return lines;
}

bool TransferView::Take(const TransferChanges& changes) {
  const std::string news = board_.Take(changes);
  if (!bars_) return news.empty() || Write(news);
  stale_ = true;
  return io_.now() - drawn_at_ < kBetweenDrawings || Draw();
}

void TransferView::Finish() {
  if (bars_ && stale_) Draw();
}

bool TransferView::Draw() {
  auto size = TerminalSizeOf(fd_);
  const size_t columns = size ? size->width() : 80;
  const size_t rows = size ? std::max<size_t>(2, size->height()) - 1 : 23;
  std::vector<std::string> lines = board_.Lines(columns, rows);
  std::string text;
  // Up to the first of the former lines, as far as the screen still has it.
  if (drawn_ > 0) text = absl::StrCat("\r\x1b[", std::min(drawn_, rows), "A");
  for (const std::string& line : lines) absl::StrAppend(&text, line, "\x1b[K\n");
  text += "\x1b[J";
  drawn_ = lines.size();
  drawn_at_ = io_.now();
  stale_ = false;
  return Write(text);
}

bool TransferView::Write(absl::string_view text) const {
  return fd_ == io_.err ? io_.Err(text) : io_.Out(text);
}

}  // namespace noded::cli
