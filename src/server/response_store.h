#pragma once
// Responses that a later request may go on from by name (previous_response_id). In memory, the newest of
// them: a conversation shares its turns, so that each costs its own items only.
//
// Thread-safe.

#include <boost/json.hpp>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::server {

// The turns of a conversation from its first on, each with its items.
using ResponseTurns = std::vector<std::shared_ptr<const boost::json::array>>;
boost::json::array items_of(const ResponseTurns& turns);

class ResponseStore {
 public:
  // A conversation's turns count for each of its responses that is kept: old ones of a long conversation go
  // first.
  explicit ResponseStore(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // `before`: what it goes on from. `items`: the request's own input, then the output.
  void put(const std::string& name_space, const std::string& id, ResponseTurns before,
           boost::json::array items, boost::json::object response);
  // Up to and with the response's own; nothing where it is not there, or not in this namespace.
  std::optional<ResponseTurns> turns(const std::string& name_space, const std::string& id) const;
  std::optional<boost::json::object> response(const std::string& name_space, const std::string& id) const;
  // False where it is not there. Responses that went on from it keep its items.
  bool remove(const std::string& name_space, const std::string& id);

 private:
  struct Entry {
    std::string name_space;
    ResponseTurns turns;
    boost::json::object response;
    std::size_t bytes = 0;
  };
  const Entry* find(const std::string& name_space, const std::string& id) const;
  void drop(std::map<std::string, Entry>::iterator entry);

  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::map<std::string, Entry> entries_;
  std::deque<std::string> oldest_first_;
};

}  // namespace kvasir::server
