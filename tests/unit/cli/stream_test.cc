// run, exec, attach and start -a against a fake node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using grpc::StatusCode;
using node::v1::AttachRequest;
using node::v1::AttachResponse;
using node::v1::ExecRequest;
using node::v1::ExecResponse;
using testing::HasSubstr;

// exec ------------------------------------------------------------------------------------------

class ExecTest : public testing::Test {
 protected:
  // Reads `start`, answers `started`, and hands the stream to the test.
  void Serve(std::function<void(const node::v1::ExecStart&, ExecStream&)> process) {
    node_.containers().Exec_ = [process](ServerContext&, ExecStream& stream) {
      ExecRequest request;
      if (!stream.Read(&request) || !request.has_start())
        return Status(StatusCode::INVALID_ARGUMENT, "no start");
      ExecResponse response;
      response.mutable_started()->set_exec_id("e1");
      stream.Write(response);
      process(request.start(), stream);
      return Status::OK;
    };
  }

  static void Exit(ExecStream& stream, int code) {
    ExecResponse response;
    response.mutable_exited()->mutable_status()->set_code(code);
    stream.Write(response);
  }

  FakeNode node_;
};

TEST_F(ExecTest, KeepsStreamsApartAndPassesTheStatusOn) {
  Serve([](const auto& start, ExecStream& stream) {
    EXPECT_EQ(start.ShortDebugString(),
              R"(container: "web" process { argv: "sh" argv: "-c" argv: "x" })");
    ExecResponse response;
    response.set_stdout("out\n");
    stream.Write(response);
    response.set_stderr("err\n");
    stream.Write(response);
    Exit(stream, 42);
  });
  Outcome outcome = node_.Run({"exec", "web", "sh", "-c", "x"});
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
  EXPECT_EQ(outcome.exit_code, 42);
}

TEST_F(ExecTest, ASignalIs128AndItsNumber) {
  Serve([](const auto&, ExecStream& stream) {
    ExecResponse response;
    response.mutable_exited()->mutable_status()->set_signal(15);
    stream.Write(response);
  });
  EXPECT_EQ(node_.Run({"exec", "web", "true"}).exit_code, 143);
}

TEST_F(ExecTest, AnUnknownStatusIsNeverZero) {
  Serve([](const auto&, ExecStream& stream) {
    ExecResponse response;
    response.mutable_exited();
    stream.Write(response);
  });
  Outcome outcome = node_.Run({"exec", "web", "true"});
  EXPECT_EQ(outcome.exit_code, kAgentError);
  EXPECT_THAT(outcome.err, HasSubstr("not known"));
  Serve([](const auto&, ExecStream&) {});
  EXPECT_EQ(node_.Run({"exec", "web", "true"}).exit_code, kAgentError)
      << "a stream without `exited`";
}

TEST_F(ExecTest, CatGivesBackWhatItGetsAndEndsWithItsInput) {
  Serve([](const auto&, ExecStream& stream) {
    ExecRequest request;
    while (stream.Read(&request) && !request.has_close_stdin()) {
      EXPECT_LE(request.stdin().size(), 1u << 20);
      ExecResponse response;
      response.set_stdout(request.stdin());
      stream.Write(response);
    }
    Exit(stream, request.has_close_stdin() ? 0 : 1);
  });
  std::string input;
  for (int i = 0; input.size() < (5 << 20); ++i)
    absl::StrAppend(&input, "line ", i, std::string("\0\xff\n", 3));
  Outcome outcome = node_.Run({"exec", "-i", "web", "cat"}, input);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(outcome.out == input)
      << outcome.out.size() << " bytes of " << input.size() << " came back";
}

TEST_F(ExecTest, WithoutInteractiveInputIsLeftAlone) {
  Serve([](const auto& start, ExecStream& stream) {
    EXPECT_FALSE(start.process().stdin());
    Exit(stream, 0);
  });
  Outcome outcome = node_.Run({"exec", "web", "true"}, "for whoever comes after");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.input_read, 0);
}

TEST_F(ExecTest, AProcessThatDoesNotReadItsInputEndsAllTheSame) {
  Serve([](const auto&, ExecStream& stream) { Exit(stream, 7); });
  EXPECT_EQ(node_.Run({"exec", "-i", "web", "true"}, std::string(64 << 20, 'x')).exit_code, 7);
}

TEST_F(ExecTest, FailuresToStartHaveTheShellsNumbers) {
  struct Case {
    const char* reason;
    int exit_code;
  };
  for (const Case& c :
       {Case{"COMMAND_NOT_FOUND", 127}, {"COMMAND_NOT_EXECUTABLE", 126}, {"WRONG_STATE", 125}}) {
    node_.containers().Exec_ = [&](ServerContext&, ExecStream&) {
      return ErrorWith(StatusCode::INVALID_ARGUMENT, "exec \"x\": no such file", c.reason);
    };
    Outcome outcome = node_.Run({"exec", "web", "x"});
    EXPECT_EQ(outcome.exit_code, c.exit_code);
    EXPECT_EQ(outcome.err, "nodectl: exec web: exec \"x\": no such file\n");
  }
}

TEST_F(ExecTest, ALostConnectionIs125) {
  node_.containers().Exec_ = [&](ServerContext&, ExecStream& stream) {
    ExecResponse response;
    response.mutable_started();
    stream.Write(response);
    response.set_stdout("half");
    stream.Write(response);
    return Status(StatusCode::UNAVAILABLE, "Socket closed");
  };
  Outcome outcome = node_.Run({"exec", "web", "x"});
  EXPECT_EQ(outcome.out, "half");
  EXPECT_THAT(outcome.err, HasSubstr("exec web: lost the connection to noded"));
  EXPECT_EQ(outcome.exit_code, kAgentError);
}

TEST_F(ExecTest, DetachedReturnsOnceItRuns) {
  Serve([](const auto& start, ExecStream&) { EXPECT_TRUE(start.detach()); });
  Outcome outcome = node_.Run({"exec", "-d", "web", "sleep", "9"});
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(node_.Run({"exec", "-d", "-o", "json", "web", "sleep", "9"}).out,
              HasSubstr("\"exec_id\": \"e1\""));
}

TEST_F(ExecTest, TheTimeLimitIsSaid) {
  Serve([](const auto& start, ExecStream& stream) {
    EXPECT_EQ(start.time_limit().seconds(), 1);
    ExecResponse response;
    response.mutable_exited()->mutable_status()->set_signal(9);
    response.mutable_exited()->set_timed_out(true);
    stream.Write(response);
  });
  Outcome outcome = node_.Run({"exec", "--timeout", "1s", "web", "sleep", "9"});
  EXPECT_EQ(outcome.exit_code, 137);
  EXPECT_THAT(outcome.err, HasSubstr("killed at its time limit"));
}

TEST_F(ExecTest, ATerminalIsNeededForOne) {
  Outcome outcome = node_.Run({"exec", "-it", "web", "sh"});
  EXPECT_EQ(outcome.exit_code, kAgentError);
  EXPECT_THAT(outcome.err, HasSubstr("standard input is not a terminal"));
}

TEST_F(ExecTest, EndsWhenNobodyReadsItsOutput) {
  absl::Notification gone;
  node_.containers().Exec_ = [&](ServerContext&, ExecStream& stream) {
    ExecResponse response;
    response.mutable_started();
    stream.Write(response);
    response.set_stdout(std::string(65536, 'x'));
    while (stream.Write(response)) {
    }
    gone.Notify();
    return Status::CANCELLED;
  };
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  close(pipe_fds[0]);
  signal(SIGPIPE, SIG_IGN);
  Io io;
  io.in = -1;
  io.out = pipe_fds[1];
  io.now = FakeNow;
  EXPECT_EQ(Main({"exec", "web", "yes"}, FakeHost({{"NODECTL_ADDRESS", node_.address()}}), io),
            kOutputClosed);
  close(pipe_fds[1]);
  EXPECT_TRUE(gone.WaitForNotificationWithTimeout(absl::Seconds(10)))
      << "the process was not given up";
}

// run -------------------------------------------------------------------------------------------

// A container that prints "hello" once it is started, and then exits with `code`.
class RunTest : public testing::Test {
 protected:
  RunTest() {
    node_.containers().CreateContainer_ = [this](const auto& request, auto* response) {
      Say("create");
      spec_ = request.spec();
      response->mutable_container()->set_id("aaaa");
      return Status::OK;
    };
    node_.containers().Attach_ = [this](ServerContext& context, AttachStream& stream) {
      AttachRequest request;
      stream.Read(&request);
      Say("attach " + request.start().container());
      AttachResponse response;
      response.mutable_attached()->set_container_id("aaaa");
      stream.Write(response);
      while (!started_.WaitForNotificationWithTimeout(absl::Milliseconds(10))) {
        if (context.IsCancelled()) return Status::CANCELLED;
      }
      response.set_stdout("hello\n");
      stream.Write(response);
      response.mutable_exited()->mutable_status()->set_code(code_);
      stream.Write(response);
      return Status::OK;
    };
    node_.containers().Start_ = [this](const auto& request, auto*) {
      Say("start " + request.container());
      if (!start_error_.ok()) return start_error_;
      started_.Notify();
      return Status::OK;
    };
    node_.containers().Remove_ = [this](const auto& request, auto*) {
      Say(absl::StrCat("remove ", request.container(), request.force() ? " by force" : ""));
      return Status::OK;
    };
  }

  void Say(const std::string& what) {
    std::lock_guard lock(mutex_);
    absl::StrAppend(&story_, story_.empty() ? "" : ", ", what);
  }

  std::mutex mutex_;
  std::string story_;
  node::v1::ContainerSpec spec_;
  absl::Notification started_;
  Status start_error_;
  int code_ = 0;
  FakeNode node_;
};

TEST_F(RunTest, AttachesBeforeItStarts) {
  code_ = 3;
  Outcome outcome = node_.Run({"run", "--rootfs", "/r", "--name", "web", "echo", "hello"});
  EXPECT_EQ(outcome.out, "hello\n");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(story_, "create, attach aaaa, start aaaa");
  EXPECT_EQ(spec_.name(), "web");
}

TEST_F(RunTest, RemovesWhatItCannotStart) {
  start_error_ =
      ErrorWith(StatusCode::INVALID_ARGUMENT,
                "start container web: exec \"x\": no such file or directory", "COMMAND_NOT_FOUND");
  Outcome outcome = node_.Run({"run", "--rootfs", "/r", "x"});
  EXPECT_EQ(outcome.exit_code, kNotFound);
  EXPECT_EQ(outcome.err,
            "nodectl: run: start container web: exec \"x\": no such file or directory\n");
  EXPECT_EQ(story_, "create, attach aaaa, start aaaa, remove aaaa by force");
}

TEST_F(RunTest, RemovesWhatItCannotAttachTo) {
  node_.containers().Attach_ = [](ServerContext&, AttachStream&) {
    return Status(StatusCode::INTERNAL, "no");
  };
  EXPECT_EQ(node_.Run({"run", "--rootfs", "/r", "x"}).exit_code, kAgentError);
  EXPECT_EQ(story_, "create, remove aaaa by force");
}

TEST_F(RunTest, ARepeatedRequestDoesNotStartOrRemoveAgain) {
  node_.containers().CreateContainer_ = [this](const auto&, auto* response) {
    response->mutable_container()->set_id("aaaa");
    response->mutable_container()->set_start_count(1);
    started_.Notify();
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"run", "--rootfs", "/r", "--request-id", "r", "x"}).exit_code, 0);
  EXPECT_EQ(story_, "attach aaaa");
}

TEST_F(RunTest, WithRmWaitsUntilTheNameIsFree) {
  std::atomic<int> looks = 0;
  node_.containers().Get_ = [&](const auto&, auto*) {
    return ++looks < 3 ? Status::OK : Status(StatusCode::NOT_FOUND, "gone");
  };
  EXPECT_EQ(node_.Run({"run", "--rm", "--rootfs", "/r", "x"}).exit_code, 0);
  EXPECT_TRUE(spec_.auto_remove());
  EXPECT_EQ(looks, 3);
}

TEST_F(RunTest, DetachedPrintsTheId) {
  node_.containers().RunContainer_ = [](const auto& request, auto* response) {
    EXPECT_EQ(request.request_id(), "r1");
    response->mutable_container()->set_id("bbbb");
    return Status::OK;
  };
  Outcome outcome = node_.Run({"run", "-d", "--request-id", "r1", "--rootfs", "/r", "x"});
  EXPECT_EQ(outcome.out, "bbbb\n");
  EXPECT_EQ(outcome.exit_code, 0);
}

TEST_F(RunTest, DryRunPrintsThePlan) {
  node_.containers().RunContainer_ = [](const auto& request, auto* response) {
    EXPECT_TRUE(request.dry_run());
    response->set_launch_plan_json("{\"steps\":[]}");
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"run", "--dry-run", "--rootfs", "/r", "x"}).out, "{\"steps\":[]}\n");
}

TEST_F(RunTest, IdFileIsFilledOnceAndNeverOverwritten) {
  node_.containers().RunContainer_ = [](const auto&, auto* response) {
    response->mutable_container()->set_id("bbbb");
    return Status::OK;
  };
  std::string path = absl::StrCat("/tmp/nodectl-cid-", getpid());
  EXPECT_EQ(node_.Run({"run", "-d", "--cidfile", path, "--rootfs", "/r", "x"}).exit_code, 0);
  std::string content;
  std::ifstream(path) >> content;
  EXPECT_EQ(content, "bbbb");
  EXPECT_EQ(node_.Run({"run", "-d", "--cidfile", path, "--rootfs", "/r", "x"}).exit_code,
            kAgentError);
  unlink(path.c_str());
  node_.containers().RunContainer_ = nullptr;
  EXPECT_EQ(node_.Run({"run", "-d", "--cidfile", path, "--rootfs", "/r", "x"}).exit_code,
            kAgentError);
  EXPECT_NE(access(path.c_str(), F_OK), 0) << "left behind by a failed run";
}

TEST_F(RunTest, StartAttachedPassesTheStatusOn) {
  node_.containers().Get_ = [](const auto& request, auto* response) {
    EXPECT_EQ(request.container(), "web");
    response->mutable_container()->set_id("aaaa");
    return Status::OK;
  };
  code_ = 9;
  Outcome outcome = node_.Run({"start", "-a", "web"});
  EXPECT_EQ(outcome.out, "hello\n");
  EXPECT_EQ(outcome.exit_code, 9);
  EXPECT_EQ(story_, "attach aaaa, start aaaa");
}

TEST_F(RunTest, StartFailsForOneAndGoesOn) {
  node_.containers().Start_ = [](const auto& request, auto*) {
    return request.container() == "b"
               ? ErrorWith(StatusCode::FAILED_PRECONDITION, "it runs", "WRONG_STATE")
               : Status::OK;
  };
  Outcome outcome = node_.Run({"start", "a", "b", "c"});
  EXPECT_EQ(outcome.out, "a\nc\n");
  EXPECT_EQ(outcome.err, "nodectl: start b: it runs\n");
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(RunTest, AttachTellsWhatItMissed) {
  node_.containers().Get_ = [](const auto&, auto* response) {
    response->mutable_container()->set_id("aaaa");
    return Status::OK;
  };
  node_.containers().Attach_ = [](ServerContext&, AttachStream& stream) {
    AttachRequest request;
    stream.Read(&request);
    EXPECT_TRUE(request.start().include_log());
    AttachResponse response;
    response.mutable_attached();
    stream.Write(response);
    response.set_missed_bytes(100);
    stream.Write(response);
    response.mutable_exited()->mutable_status()->set_signal(9);
    stream.Write(response);
    return Status::OK;
  };
  Outcome outcome = node_.Run({"attach", "--logs", "web"});
  EXPECT_THAT(outcome.err, HasSubstr("100 bytes are missing"));
  EXPECT_EQ(outcome.exit_code, 137);
}

}  // namespace
}  // namespace noded::cli
