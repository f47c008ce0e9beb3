#pragma once
// /admin/cache: what `kvasir cache` does, on the cache of the model that is served, in memory as on disk.
//
// A caller sees and changes what requests like its own have written: those with its API key, or with none,
// whatever their salt. Counts and sizes are told, never words or tokens; an export stays on the server.
//
// Threads: handle() may be called from any and returns at once; the work is done on one thread, one after the
// other, and given up when its client goes away.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "kv/disk_admin.h"
#include "server/http_server.h"
#include "server/model_slot.h"

namespace kvasir::server {

class CacheAdmin {
 public:
  explicit CacheAdmin(ModelSlot& slot);
  // Gives up what is running and refuses what waits.
  ~CacheAdmin();
  CacheAdmin(const CacheAdmin&) = delete;
  CacheAdmin& operator=(const CacheAdmin&) = delete;

  // `request` is one of the routes; `name_space`: the caller's, without a salt.
  void handle(HttpRequest request, std::string name_space, const std::shared_ptr<Exchange>& exchange);
  // The same as the end, but may be called before it, from any thread.
  void stop();

 private:
  struct Job {
    HttpRequest request;
    std::string name_space;
    std::shared_ptr<Exchange> exchange;
    std::shared_ptr<std::atomic<bool>> gone;  // the client
  };
  // What an operation works on. Lives as long as it runs.
  struct Target {
    const LoadedModel& model;
    kv::NameSpaceFilter whose;
    kv::GoesOn goes_on;
    const HttpRequest& request;
  };
  using Operation = Result<std::string> (CacheAdmin::*)(const Target&);

  void run();
  void answer(const Job& job);
  Result<std::string> serve(const Job& job, const LoadedModel& model);
  Result<std::string> stats(const Target& target);
  Result<std::string> conversations(const Target& target);
  Result<std::string> verify(const Target& target);
  Result<std::string> prune(const Target& target);
  Result<std::string> clear(const Target& target);
  Result<std::string> export_records(const Target& target);
  Result<std::string> import_records(const Target& target);

  ModelSlot& slot_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;  // guards jobs_
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::thread thread_;  // last: it starts when everything else is there
};

}  // namespace kvasir::server
