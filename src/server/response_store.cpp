#include "server/response_store.h"

#include <utility>

namespace kvasir::server {

namespace json = boost::json;

namespace {

// Parsed JSON takes several times its text.
constexpr std::size_t kTimes = 4;

std::size_t bytes_of(const json::value& value) {
  return kTimes * json::serialize(value).size();
}

}  // namespace

json::array items_of(const ResponseTurns& turns) {
  json::array all;
  for (const auto& turn : turns) all.insert(all.end(), turn->begin(), turn->end());
  return all;
}

void ResponseStore::put(const std::string& name_space, const std::string& id, ResponseTurns before,
                        json::array items, json::object response) {
  before.push_back(std::make_shared<const json::array>(std::move(items)));
  std::size_t bytes = bytes_of(response);
  for (const auto& turn : before) bytes += bytes_of(*turn);
  const std::lock_guard lock(mutex_);
  bytes_ += bytes;
  entries_.insert_or_assign(id, Entry{name_space, std::move(before), std::move(response), bytes});
  oldest_first_.push_back(id);
  while (bytes_ > bytes_max_ && !oldest_first_.empty()) {
    const auto oldest = entries_.find(oldest_first_.front());
    oldest_first_.pop_front();
    if (oldest != entries_.end()) drop(oldest);
  }
}

std::optional<ResponseTurns> ResponseStore::turns(const std::string& name_space,
                                                  const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const Entry* entry = find(name_space, id);
  return entry == nullptr ? std::nullopt : std::optional(entry->turns);
}

std::optional<json::object> ResponseStore::response(const std::string& name_space,
                                                    const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const Entry* entry = find(name_space, id);
  return entry == nullptr ? std::nullopt : std::optional(entry->response);
}

bool ResponseStore::remove(const std::string& name_space, const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (find(name_space, id) == nullptr) return false;
  drop(entries_.find(id));
  return true;
}

const ResponseStore::Entry* ResponseStore::find(const std::string& name_space, const std::string& id) const {
  const auto entry = entries_.find(id);
  return entry != entries_.end() && entry->second.name_space == name_space ? &entry->second : nullptr;
}

void ResponseStore::drop(std::map<std::string, Entry>::iterator entry) {
  bytes_ -= entry->second.bytes;
  entries_.erase(entry);
}

}  // namespace kvasir::server
