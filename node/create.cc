// RunContainer and CreateContainer.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <openssl/evp.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "node/answer.h"
#include "node/base/status.h"
#include "node/engine_impl.h"
#include "node/host.h"
#include "node/kept_limits.h"
#include "node/launch_inputs.h"
#include "node/random_id.h"
#include "node/record_changes.h"
#include "node/root_files.h"
#include "node/storage.h"

namespace noded {

using node::v1::Container;
using node::v1::ContainerSpec;

struct EngineImpl::Creation {
  ContainerSpec spec;
  std::string request_id;
  bool run = false;          // start it too
  std::string digest;        // of what is asked for
  Provision provision = {};  // known once it is in the queue, as what follows
  KeptLimits kept = {};
};

namespace {

constexpr int kSchemaVersion = 1;
constexpr size_t kMaxRequestIdBytes = 128;

// Which RPC it was belongs to the digest, because a repeat of a Create must not be answered with a
// Run's running container.
std::string DigestOf(const ContainerSpec& spec, bool run) {
  std::string bytes = run ? "run\n" : "create\n";
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    // Or the order of map entries would make two equal requests differ.
    coded.SetSerializationDeterministic(true);
    spec.SerializeToCodedStream(&coded);
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
}

std::string DefaultName(const std::string& id) { return absl::StrCat("c-", ShortId(id)); }

bool IsStarted(const Container& container) {
  switch (container.state()) {
    case node::v1::CONTAINER_STATE_CREATING:
    case node::v1::CONTAINER_STATE_CREATED:
    case node::v1::CONTAINER_STATE_STARTING:
      return false;
    default:
      return true;
  }
}

bool IsCreated(const Container& container) {
  return container.state() != node::v1::CONTAINER_STATE_CREATING;
}

absl::Status CheckRequest(const ContainerSpec& spec, const std::string& request_id) {
  if (request_id.size() > kMaxRequestIdBytes) {
    return InvalidField("request_id", absl::StrCat("must be at most ", kMaxRequestIdBytes,
                                                   " bytes, not ", request_id.size()));
  }
  if (spec.root().has_writable_limit_bytes()) {
    return InvalidField("spec.root.writable_limit_bytes", "not supported yet by this version");
  }
  return launch::ValidateSpec(spec);
}

// A failure that tells of a concurrent call with the same request_id, not of the name.
bool IsTakenRequest(const absl::Status& status) {
  return absl::IsAlreadyExists(status) && ReasonOf(status) != reason::kNameInUse;
}

struct DryRun {
  Container container;
  std::string plan_json;
};

void Note(const Provision& provision, ContainerRecord& record) {
  Container& container = *record.mutable_container();
  if (!provision.layers.chain_ids().empty()) {
    *record.mutable_layers() = provision.layers;
    container.set_image_id(provision.layers.image_id());
  }
  record.mutable_image_mounts()->insert(provision.image_mounts.begin(),
                                        provision.image_mounts.end());
  for (const std::string& volume : provision.volumes) container.add_volumes(volume);
}

absl::StatusOr<DryRun> CompileOnly(EngineImpl* engine, const ContainerSpec& asked) {
  DryRun result;
  ASSIGN_OR_RETURN(std::string id, RandomId());
  result.container.set_id(id);
  result.container.set_name(asked.name().empty() ? DefaultName(id) : asked.name());
  ASSIGN_OR_RETURN(Provision provision,
                   engine->images_and_volumes()->Provide(asked, /*dry_run=*/true));
  const ContainerSpec& spec = provision.spec;
  *result.container.mutable_spec() = spec;
  ContainerRecord record;
  *record.mutable_container() = result.container;
  Note(provision, record);
  ASSIGN_OR_RETURN(LaunchInputs inputs, ResolveLaunchInputs(engine, record));
  ASSIGN_OR_RETURN(node::shim::v1::LaunchPlan plan, launch::CompileLaunchPlan(spec, inputs.inputs));
  ASSIGN_OR_RETURN(std::shared_ptr<cgroup::Driver> driver,
                   engine->DriverFor(engine->CgroupParentOf(spec)));
  ASSIGN_OR_RETURN(KeptLimits kept, KeepLimitsOf(*driver, spec));
  Tell(kept, result.container);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  auto printed = google::protobuf::util::MessageToJsonString(plan, &result.plan_json, options);
  if (!printed.ok()) {
    return absl::InternalError(absl::StrCat("print launch plan: ", printed.ToString()));
  }
  return result;
}

// Both RPCs in one: they differ in what is done after the creation.
template <typename Request, typename Response>
void Answer(EngineImpl* engine, Request request, bool run,
            std::function<void(absl::StatusOr<Response>)> done) {
  auto answer = AnswerOnce<Response>(std::move(done));
  if (absl::Status valid = CheckRequest(request.spec(), request.request_id()); !valid.ok()) {
    return answer(valid);
  }
  if (request.dry_run()) {
    return engine->CheckPaths(request.spec(), [=](absl::Status paths) {
      if (!paths.ok()) return answer(paths);
      absl::Status submitted = engine->Submit([=] {
        absl::StatusOr<DryRun> dry = CompileOnly(engine, request.spec());
        if (!dry.ok()) return answer(dry.status());
        Response response;
        *response.mutable_container() = std::move(dry->container);
        response.set_launch_plan_json(std::move(dry->plan_json));
        answer(std::move(response));
      });
      if (!submitted.ok()) answer(submitted);
    });
  }
  auto creation = std::make_shared<EngineImpl::Creation>(EngineImpl::Creation{
      request.spec(), request.request_id(), run, DigestOf(request.spec(), run)});
  engine->Create(std::move(creation), [answer](absl::StatusOr<Container> container) {
    if (!container.ok()) return answer(container.status());
    Response response;
    *response.mutable_container() = *std::move(container);
    answer(std::move(response));
  });
}

}  // namespace

void EngineImpl::RunContainer(node::v1::RunContainerRequest request,
                              Done<node::v1::RunContainerResponse> done) {
  Answer(this, std::move(request), true, std::move(done));
}

void EngineImpl::CreateContainer(node::v1::CreateContainerRequest request,
                                 Done<node::v1::CreateContainerResponse> done) {
  Answer(this, std::move(request), false, std::move(done));
}

// From memory until it is in the container's queue, on whatever thread: each change of threads
// costs a start its time. A repeat of a request that failed begins anew, because nothing is left of
// the first; one that comes while the first is under way waits for it.
void EngineImpl::Create(std::shared_ptr<Creation> creation, ContainerDone done) {
  auto known = registry_->FindRequest(creation->request_id, creation->digest);
  if (!known.ok()) return done(known.status());
  if (known->has_value()) return FollowFirst(std::move(creation), **known, std::move(done));

  CheckPaths(creation->spec, [=, this](absl::Status paths) {
    if (!paths.ok()) return done(paths);
    absl::StatusOr<std::string> id = RandomId();
    if (!id.ok()) return done(id.status());
    // In the queue from the very beginning: whoever finds the record early waits behind this.
    std::shared_ptr<Runtime> runtime = RuntimeOf(*id);
    runtime->operations->RunAlways([=, this](Finished finished) {
      CreateInQueue(creation, runtime, [done, finished](absl::StatusOr<Container> container) {
        done(std::move(container));
        finished();
      });
    });
  });
}

// Before anything is made.
void EngineImpl::CheckPaths(const ContainerSpec& spec, std::function<void(absl::Status)> done) {
  paths_->Run(
      HostPaths(spec), [spec](const PathChecks::AtPath& at) { return CheckHostPaths(spec, at); },
      std::move(done));
}

void EngineImpl::CheckLimitPaths(const ContainerSpec& spec,
                                 std::function<void(absl::Status)> done) {
  ContainerSpec limited;
  *limited.mutable_limits() = spec.limits();
  *limited.mutable_devices() = spec.devices();
  paths_->Run(
      HostPaths(limited),
      [limited](const PathChecks::AtPath& at) { return CheckLimitPathsOf(limited, at); },
      std::move(done));
}

void EngineImpl::FollowFirst(std::shared_ptr<Creation> creation, const Container& first,
                             ContainerDone done) {
  Fits fits = creation->run ? IsStarted : IsCreated;
  if (fits(first)) return done(first);
  // Longer than the first can take, so that it is the first's failure that is told.
  absl::Duration bound = 2 * options_.start_timeout;
  AwaitState(first.id(), fits, bound, [=, this](absl::StatusOr<Snapshot> settled) {
    if (settled.ok()) return done((*settled)->container());
    if (!absl::IsNotFound(settled.status())) return done(settled.status());
    // Gone: it failed, or it ran and was removed meanwhile, which its request_id tells.
    absl::Status submitted = Submit([=, this] { Create(creation, done); });
    if (!submitted.ok()) done(submitted);
  });
}

void EngineImpl::CreateInQueue(std::shared_ptr<Creation> creation, std::shared_ptr<Runtime> runtime,
                               ContainerDone done) {
  absl::Status reserved = [&]() -> absl::Status {
    // Before anything is made but volumes, which outlive what they were made for anyway.
    ASSIGN_OR_RETURN(creation->provision, storage_->Provide(creation->spec));
    creation->spec = creation->provision.spec;
    ASSIGN_OR_RETURN(std::shared_ptr<cgroup::Driver> driver,
                     DriverFor(CgroupParentOf(creation->spec)));
    ASSIGN_OR_RETURN(creation->kept, KeepLimitsOf(*driver, creation->spec));
    return Reserve(*creation, runtime->id);
  }();
  if (!reserved.ok()) {
    DropRuntime(runtime->id);
    DropProvision(*creation);
    // Another call with this request_id was a moment faster: follow that.
    if (IsTakenRequest(reserved)) return Create(std::move(creation), std::move(done));
    return done(reserved);
  }
  auto make_files = [&] { return MakeFiles(runtime->id); };
  if (creation->run) {
    return StartInQueue(runtime, make_files, creation->kept, [this, runtime, done](auto started) {
      if (!started.ok()) Discard(runtime);
      done(std::move(started));
    });
  }
  absl::Status made = make_files();
  absl::StatusOr<Container> created = made.ok() ? RecordCreated(runtime->id) : made;
  if (created.ok()) return done(std::move(created));
  Discard(runtime);
  done(Annotate(created.status(), "create container"));
}

// What anonymous volumes were made for a container that is not to be.
void EngineImpl::DropProvision(Creation& creation) {
  Container container;
  for (const std::string& volume : creation.provision.volumes) container.add_volumes(volume);
  creation.provision = {};
  if (!container.volumes().empty()) storage_->RemoveAnonymousVolumes(container);
}

absl::Status EngineImpl::Reserve(const Creation& creation, const std::string& id) {
  ContainerRecord record;
  record.set_schema_version(kSchemaVersion);
  record.set_request_id(creation.request_id);
  record.set_request_digest(creation.digest);
  record.set_discard_unless_started(creation.run);
  Container& container = *record.mutable_container();
  container.set_id(id);
  container.set_name(creation.spec.name().empty() ? DefaultName(id) : creation.spec.name());
  *container.mutable_spec() = creation.spec;
  // RunContainer's begins where its start begins: one record less to save.
  container.set_state(creation.run ? node::v1::CONTAINER_STATE_STARTING
                                   : node::v1::CONTAINER_STATE_CREATING);
  *container.mutable_create_time() = TimestampNow();
  container.set_cgroup_path(absl::StrCat(CgroupParentOf(creation.spec), "/", id));
  Tell(creation.kept, container);
  Note(creation.provision, record);
  container.set_log_directory(RootFiles(store_->ContainerDirectory(id)).log);
  return registry_->Insert(std::move(record)).status();
}

absl::Status EngineImpl::MakeFiles(const std::string& id) {
  Snapshot snapshot = registry_->Get(id);
  if (snapshot == nullptr) return ContainerGone();
  const ContainerSpec& spec = snapshot->container().spec();
  RETURN_IF_ERROR(MakeBindSources(spec));
  std::string root = spec.root().host_directory();
  if (snapshot->has_layers()) {
    launch::Inputs inputs;
    RETURN_IF_ERROR(storage_->FindLayers(*snapshot, inputs));
    root = inputs.lower.front();
  }
  return MakeRootFiles(RootFiles(store_->ContainerDirectory(id)), spec, root,
                       HostnameInside(this, spec, id), SharedEtcOf(this, spec));
}

absl::StatusOr<Container> EngineImpl::RecordCreated(const std::string& id) {
  ASSIGN_OR_RETURN(
      Snapshot created,
      registry_->Change(id, node::v1::CONTAINER_EVENT_TYPE_UPDATED, [](ContainerRecord& record) {
        record.mutable_container()->set_state(node::v1::CONTAINER_STATE_CREATED);
        return absl::OkStatus();
      }));
  return created->container();
}

}  // namespace noded
