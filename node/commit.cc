// CommitContainer: a container's writable layer as one more layer of its image.
#include <fcntl.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "node/answer.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/root_files.h"
#include "node/storage.h"

namespace noded {

using node::v1::CommitContainerRequest;
using node::v1::CommitContainerResponse;
using node::v1::Container;

namespace {

// The changes of a running container are read while it stands still, or they would be of no one
// moment. Its record does not say paused: after a crash recovery thaws such a group.
absl::StatusOr<CommitContainerResponse> CommitNow(EngineImpl* engine, image::Images* images,
                                                  const std::shared_ptr<Runtime>& runtime,
                                                  const CommitContainerRequest& request) {
  Snapshot snapshot = engine->registry()->Get(runtime->id);
  if (snapshot == nullptr) {
    return WithReason(absl::NotFoundError(absl::StrCat("no such container: ", request.container())),
                      reason::kContainerNotFound);
  }
  const Container& container = snapshot->container();
  if (!snapshot->has_layers()) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", container.name(),
                     " was made from a directory, so there is no image to add "
                     "its changes to; export it and import that"));
  }
  image::Images::Commit commit;
  ASSIGN_OR_RETURN(commit.base, oci::Digest::Parse(snapshot->layers().manifest_digest()));
  commit.created_by = absl::StrJoin(container.spec().process().argv(), " ");
  const std::string upper = RootFiles(engine->store()->ContainerDirectory(runtime->id)).upper;
  ASSIGN_OR_RETURN(UniqueFd directory, OpenAt(AT_FDCWD, upper, O_RDONLY | O_DIRECTORY));
  commit.upper = directory.get();
  std::shared_ptr<SharedGroup> frozen;
  if (container.state() == node::v1::CONTAINER_STATE_RUNNING && !request.no_pause()) {
    frozen = runtime->Group();
    if (frozen != nullptr) RETURN_IF_ERROR(Annotate(frozen->Freeze(), "pause container"));
  }
  absl::Cleanup thaw = [&] {
    if (frozen == nullptr) return;
    absl::Status thawed = frozen->Thaw();
    if (!thawed.ok()) engine->Report(absl::StrCat("resume ", runtime->id, ": ", thawed.message()));
  };
  return images->CommitLayer(request, commit, Cancel());
}

}  // namespace

void Storage::CommitContainer(CommitContainerRequest request, Done<CommitContainerResponse> done) {
  auto answer = AnswerOnce<CommitContainerResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = engine_->registry()->Find(request.container());
  if (!found.ok()) return answer(found.status());
  std::shared_ptr<Runtime> runtime = engine_->RuntimeOf((*found)->container().id());
  const std::string what = absl::StrCat("commit container ", (*found)->container().name());
  // In its queue, so that it is neither started nor removed meanwhile; on a thread that may take
  // its time.
  absl::Status queued = runtime->operations->Run(
      [=, this, request = std::move(request)](OperationQueue::Finished finished) {
        absl::Status submitted = SubmitLong([=, this] {
          absl::StatusOr<CommitContainerResponse> committed =
              CommitNow(engine_, images_.get(), runtime, request);
          if (committed.ok()) {
            answer(std::move(committed));
          } else {
            answer(Annotate(committed.status(), what));
          }
          finished();
        });
        if (submitted.ok()) return;
        answer(submitted);
        finished();
      });
  if (!queued.ok()) answer(queued);
}

}  // namespace noded
