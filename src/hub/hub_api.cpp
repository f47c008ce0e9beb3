#include "hub/hub_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "base/process.h"

namespace kvasir::hub {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostAnswerBytes = std::size_t{64} << 20;

// A path, or another part of a URL, with everything but letters, digits and "-._~/" as %XX.
std::string quoted(std::string_view text, bool slashes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    const bool plain = (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (slashes && c == '/');
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[u >> 4];
      out += kDigits[u & 15U];
    }
  }
  return out;
}

// W/"abc" -> abc
std::string bare_etag(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  return etag;
}

std::optional<std::uint64_t> number_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  std::uint64_t n = 0;
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), n);
  return failed == std::errc{} && end == text->data() + text->size() ? std::optional(n) : std::nullopt;
}

// A name of one file in blobs/ and nothing else.
bool is_blob_name(const std::string& etag) {
  return !etag.empty() && etag.size() <= 200 && etag.front() != '.' && std::ranges::all_of(etag, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

Patience Patience::from_environment() {
  Patience p;
  if (const auto text = environment("KVASIR_RETRY_SECONDS")) {
    const double seconds = std::strtod(text->c_str(), nullptr);
    if (std::isfinite(seconds) && seconds >= 0) {
      p.first_seconds = seconds;
      p.most_seconds = seconds * 10;
    }
  }
  return p;
}

bool is_passing(int status) {
  return status == 408 || status == 429 || status >= 500;
}

void wait_before_retry(int attempt, const std::optional<std::string>& retry_after, const std::string& why,
                       const Patience& patience, const Notice& notice) {
  double seconds = patience.first_seconds * std::pow(2.0, attempt - 1);
  if (const auto asked = number_of(retry_after)) seconds = static_cast<double>(*asked);
  seconds = std::min(seconds, patience.most_seconds);
  if (notice) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.3g", seconds);
    notice(why + "; again in " + text + " s");
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

Error hub_error(const HttpResponse& r, const std::string& what, const Settings& settings) {
  const std::string code = r.header("x-error-code").value_or("");
  const std::string said = r.header("x-error-message").value_or("");
  const std::string status = std::to_string(r.status);
  const std::string token =
      settings.token.empty() ? "set HF_TOKEN to a token that may read it" : "HF_TOKEN may not read it";
  if (code == "GatedRepo" || (r.status == 403 && said.find("gated") != std::string::npos)) {
    return make_error(ErrorCode::kForbidden,
                      what + " is gated: ask for access on its page at " + settings.endpoint + ", and " +
                          (settings.token.empty() ? "set HF_TOKEN" : "wait for it; HF_TOKEN has none yet"),
                      what);
  }
  if (r.status == 401 && code == "RepoNotFound") {
    return make_error(ErrorCode::kNotFound,
                      settings.endpoint + " has no " + what + ", or it is private: " + token, what);
  }
  if (r.status == 401) {
    return make_error(ErrorCode::kUnauthenticated,
                      settings.endpoint + " wants to know who asks for " + what + " (401): " + token, what);
  }
  if (r.status == 403) {
    return make_error(ErrorCode::kForbidden, settings.endpoint + " refuses " + what + " (403): " + token,
                      what);
  }
  if (r.status == 404) {
    return make_error(ErrorCode::kNotFound, settings.endpoint + " has no " + what + "; is it spelt so?",
                      what);
  }
  return make_error(
      is_passing(r.status) ? ErrorCode::kUnavailable : ErrorCode::kIo,
      settings.endpoint + " answers " + status + " for " + what + (said.empty() ? "" : " (" + said + ")"),
      what);
}

namespace {

// Repeats `call` (Result<HttpResponse>()) while the failure may pass.
template <class Call>
Result<HttpResponse> patiently(HubApi& api, const std::string& what, const Call& call) {
  for (int attempt = 1;; ++attempt) {
    Result<HttpResponse> response = call();
    const bool passing =
        response.ok() ? is_passing(response->status) : response.error().code == ErrorCode::kUnavailable;
    if (!passing || attempt == api.patience().tries) {
      if (!response.ok()) return response;
      if (response->status / 100 == 2 || response->status / 100 == 3) return response;
      return hub_error(*response, what, api.settings());
    }
    wait_before_retry(
        attempt, response.ok() ? response->header("retry-after") : std::nullopt,
        response.ok() ? hub_error(*response, what, api.settings()).message : response.error().message,
        api.patience(), api.notice());
  }
}

Error offline_error(const std::string& what) {
  return make_error(ErrorCode::kUnavailable,
                    what + " cannot be pulled: HF_HUB_OFFLINE is set; unset it to ask the hub", what);
}

}  // namespace

Result<Revision> HubApi::revision(const ModelName& name) {
  const std::string what =
      "model " + name.repo + (name.revision == kMainRevision ? "" : " at " + name.revision);
  if (settings_.offline) return offline_error(what);
  const std::string url = settings_.endpoint + "/api/models/" + quoted(name.repo, true) + "/revision/" +
                          quoted(name.revision, false);
  std::string body;
  KVASIR_ASSIGN_OR_RETURN(const HttpResponse response, patiently(*this, what, [&]() -> Result<HttpResponse> {
                            HttpRequest request;
                            request.url = url;
                            request.token = settings_.token;
                            KVASIR_ASSIGN_OR_RETURN(auto answer, http_.get_text(request, kMostAnswerBytes));
                            body = std::move(answer.second);
                            return std::move(answer.first);
                          }));
  const auto strange = [&] {
    return make_error(ErrorCode::kCorruptData,
                      url + " does not answer as the hub does; is HF_ENDPOINT right?", url);
  };
  boost::system::error_code failed;
  const json::value parsed = json::parse(body, failed);
  const json::object* o = failed ? nullptr : parsed.if_object();
  const json::value* sha = o != nullptr ? o->if_contains("sha") : nullptr;
  const json::value* siblings = o != nullptr ? o->if_contains("siblings") : nullptr;
  if (sha == nullptr || !sha->is_string() || siblings == nullptr || !siblings->is_array()) return strange();
  Revision r;
  r.commit = sha->get_string();
  if (!is_blob_name(r.commit)) return strange();
  for (const json::value& item : siblings->get_array()) {
    const json::object* file = item.if_object();
    const json::value* path = file != nullptr ? file->if_contains("rfilename") : nullptr;
    if (path == nullptr || !path->is_string()) return strange();
    r.files.emplace_back(path->get_string());
    // It becomes a path of this machine: nothing that leaves its folder.
    if (!parse_hub_name("hf:a/b:" + r.files.back()).ok()) return strange();
  }
  return r;
}

Result<RemoteFile> HubApi::file(const ModelName& name, const std::string& commit, const std::string& path) {
  const std::string what = path + " of " + name.repo;
  if (settings_.offline) return offline_error(what);
  RemoteFile file;
  file.path = path;
  file.url = settings_.endpoint + "/" + quoted(name.repo, true) + "/resolve/" + quoted(commit, false) + "/" +
             quoted(path, true);
  HttpRequest request;
  request.url = file.url;
  request.token = settings_.token;
  request.head = true;
  request.stay_on_host = true;
  KVASIR_ASSIGN_OR_RETURN(const HttpResponse r, patiently(*this, what, [&] { return http_.send(request); }));
  const auto etag = r.header("x-linked-etag");
  file.etag = bare_etag(etag ? *etag : r.header("etag").value_or(""));
  const auto linked = number_of(r.header("x-linked-size"));
  const auto size = linked ? linked : number_of(r.header("content-length"));
  if (!is_blob_name(file.etag) || !size) {
    return make_error(ErrorCode::kCorruptData,
                      file.url + " does not say what it is (an ETag and a size); is HF_ENDPOINT right?",
                      file.url);
  }
  if (const auto seen = r.header("x-repo-commit"); seen && *seen != commit) {
    return make_error(ErrorCode::kCorruptData, file.url + " is of commit " + *seen + "; try again", file.url);
  }
  file.size = *size;
  return file;
}

}  // namespace kvasir::hub
