#include "server/cache_admin.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "api/cache_admin.h"
#include "server/answer.h"
#include "server/cache_namespace.h"

namespace kvasir::server {
namespace {

// Each may take as long as reading the disk does; more than these are not let to wait.
constexpr std::size_t kJobsMost = 16;
// What an export must leave free on its disk.
constexpr std::uint64_t kFreeBytesLeast = std::uint64_t{256} << 20;

Result<kv::DiskTier*> disk_of(const LoadedModel& model) {
  if (kv::DiskTier* disk = model.engine->disk()) return disk;
  return make_error(ErrorCode::kInvalidArgument,
                    "there is no cache on disk: it is off (--cache-disk 0), or "
                    "its folder cannot be used (see the server's log)");
}

// Exports lie together, apart from the cache itself: no request names a path.
std::string exports_folder(const kv::DiskTier& disk) {
  return path_in(disk.store().options().folder, "exports");
}

}  // namespace

CacheAdmin::CacheAdmin(ModelSlot& slot) : slot_(slot), thread_([this] { run(); }) {}

CacheAdmin::~CacheAdmin() {
  stop();
  thread_.join();
}

void CacheAdmin::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

void CacheAdmin::handle(HttpRequest request, std::string name_space,
                        const std::shared_ptr<Exchange>& exchange) {
  auto gone = std::make_shared<std::atomic<bool>>(false);
  exchange->on_disconnect([gone] { *gone = true; });
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() < kJobsMost && !stopping_) {
      jobs_.push_back({std::move(request), std::move(name_space), exchange, std::move(gone)});
      wake_.notify_all();
      return;
    }
  }
  exchange->respond(error_response(
      api::Dialect::kOpenAi,
      make_error(ErrorCode::kResourceExhausted, "too many requests about the cache wait; try again later")));
}

void CacheAdmin::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    answer(job);
    lock.lock();
  }
}

void CacheAdmin::answer(const Job& job) {
  Result<std::string> body =
      make_error(ErrorCode::kUnavailable, "the model is not loaded; try again shortly");
  if (const auto model = slot_.get(); model && !stopping_) body = serve(job, *model);
  if (!body.ok() && (stopping_ || body.error().code == ErrorCode::kCancelled)) {
    body = make_error(ErrorCode::kUnavailable, "the server is stopping");
  }
  if (!body.ok()) return job.exchange->respond(error_response(api::Dialect::kOpenAi, body.error()));
  job.exchange->respond(json_response(200, std::move(*body)));
}

Result<std::string> CacheAdmin::serve(const Job& job, const LoadedModel& model) {
  static constexpr std::pair<std::string_view, Operation> kOperations[] = {
      {"/admin/cache", &CacheAdmin::stats},
      {"/admin/cache/conversations", &CacheAdmin::conversations},
      {"/admin/cache/verify", &CacheAdmin::verify},
      {"/admin/cache/prune", &CacheAdmin::prune},
      {"/admin/cache/clear", &CacheAdmin::clear},
      {"/admin/cache/export", &CacheAdmin::export_records},
      {"/admin/cache/import", &CacheAdmin::import_records},
  };
  const Target target{
      model,
      [&job](std::string_view name) { return is_of_namespace(name, job.name_space); },
      [this, &job](double) { return !stopping_ && !*job.gone; },
      job.request,
  };
  for (const auto& [path, operation] : kOperations) {
    if (path == job.request.path) return (this->*operation)(target);
  }
  return make_error(ErrorCode::kNotFound, job.request.path + ": there is no such route");
}

Result<std::string> CacheAdmin::stats(const Target& target) {
  engine::Engine& engine = *target.model.engine;
  const auto memory = engine.cached_conversations(target.whose);
  api::CacheReport report{slot_.id(), engine.stats(), memory, engine.disk_stats(), {}};
  if (const kv::DiskTier* disk = engine.disk()) report.disk_use = disk->store().use(target.whose);
  return api::cache_stats_body(report);
}

Result<std::string> CacheAdmin::conversations(const Target& target) {
  KVASIR_ASSIGN_OR_RETURN(const std::size_t limit, api::parse_cache_limit(target.request.query));
  const auto memory = target.model.engine->cached_conversations(target.whose);
  std::vector<kv::DiskConversation> on_disk;
  if (const kv::DiskTier* disk = target.model.engine->disk()) {
    on_disk = disk->store().conversations(target.whose);
  }
  return api::cache_conversations_body(memory, on_disk, limit);
}

Result<std::string> CacheAdmin::verify(const Target& target) {
  KVASIR_ASSIGN_OR_RETURN(kv::DiskTier* const disk, disk_of(target.model));
  KVASIR_ASSIGN_OR_RETURN(const auto report, kv::verify_disk(*disk, target.whose, target.goes_on));
  return api::cache_verify_body(report);
}

Result<std::string> CacheAdmin::prune(const Target& target) {
  KVASIR_ASSIGN_OR_RETURN(const std::uint64_t keep, api::parse_cache_prune(target.request.body));
  KVASIR_ASSIGN_OR_RETURN(kv::DiskTier* const disk, disk_of(target.model));
  KVASIR_ASSIGN_OR_RETURN(const auto bytes, kv::prune_disk(*disk, target.whose, keep, target.goes_on));
  return api::cache_prune_body(bytes);
}

// Memory first: what it holds would go to disk again. What a running request uses stays, and is saved with
// what it goes on to compute.
Result<std::string> CacheAdmin::clear(const Target& target) {
  api::CacheCleared cleared;
  cleared.memory_blocks = target.model.engine->forget(target.whose);
  cleared.replayed_turns = target.model.replay->forget(target.whose);
  if (kv::DiskTier* disk = target.model.engine->disk(); disk != nullptr && disk->writes()) {
    KVASIR_ASSIGN_OR_RETURN(cleared.disk_bytes, kv::prune_disk(*disk, target.whose, 0, target.goes_on));
  }
  spdlog::info("the cache was cleared: {} blocks in memory, {} bytes on disk", cleared.memory_blocks,
               cleared.disk_bytes);
  return api::cache_clear_body(cleared);
}

Result<std::string> CacheAdmin::export_records(const Target& target) {
  KVASIR_ASSIGN_OR_RETURN(const std::string name, api::parse_cache_file(target.request.body));
  KVASIR_ASSIGN_OR_RETURN(kv::DiskTier* const disk, disk_of(target.model));
  FileSystem& files = disk->store().files();
  const std::string folder = exports_folder(*disk);
  KVASIR_RETURN_IF_ERROR(files.make_folder(folder));
  const std::string path = path_in(folder, name);
  if (files.open(path, OpenMode::kRead).ok()) {
    return make_error(ErrorCode::kInvalidArgument, "file: there is one named '" + name + "' already", "file");
  }
  const std::uint64_t needed = disk->store().use(target.whose).bytes + kFreeBytesLeast;
  if (const auto free = files.free_bytes(folder); free.ok() && *free < needed) {
    return make_error(ErrorCode::kResourceExhausted, "an export needs " + std::to_string(needed >> 20) +
                                                         " MB of free space, and there are " +
                                                         std::to_string(*free >> 20));
  }
  KVASIR_ASSIGN_OR_RETURN(const auto records, kv::export_disk(*disk, target.whose, path, target.goes_on));
  return api::cache_export_body(path, records);
}

Result<std::string> CacheAdmin::import_records(const Target& target) {
  KVASIR_ASSIGN_OR_RETURN(const std::string name, api::parse_cache_file(target.request.body));
  KVASIR_ASSIGN_OR_RETURN(kv::DiskTier* const disk, disk_of(target.model));
  const auto imported =
      kv::import_disk(*disk, target.whose, path_in(exports_folder(*disk), name), target.goes_on);
  if (imported.ok()) return api::cache_import_body(*imported);
  Error error = imported.error();
  if (error.code == ErrorCode::kNotFound || error.code == ErrorCode::kCorruptData) {
    error.message = "file: '" + name + "' " +
                    (error.code == ErrorCode::kNotFound ? "is not among the exports of this server"
                                                        : "is no export of a KV cache");
    error.subject = "file";
    if (error.code == ErrorCode::kCorruptData) error.code = ErrorCode::kInvalidArgument;
  }
  return error;
}

}  // namespace kvasir::server
