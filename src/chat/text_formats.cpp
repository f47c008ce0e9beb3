#include "chat/text_formats.h"

namespace kvasir::chat {
namespace {

using std::string;

string any_of(std::initializer_list<string> options) {
  string out = "(";
  for (const string& option : options) out += (out.size() > 1 ? "|" : "") + option;
  return out + ")";
}

// Days that are there in that month of that year; Python's dates begin with year 1.
string date() {
  const string year = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})";
  const string leap = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29";
  const string days = any_of({"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])",
                              "(0[469]|11)-(0[1-9]|[12][0-9]|30)", "02-(0[1-9]|1[0-9]|2[0-8])"});
  return any_of({year + "-" + days, leap});
}

// Without leap seconds, which few readers of times know.
string time() {
  const string hour = "([01][0-9]|2[0-3])";
  const string zone = "([Zz]|[+-]" + hour + ":[0-5][0-9])";
  return hour + ":[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?" + zone;
}

// ISO 8601 bounds no number of a duration; nine digits are thirty years of seconds.
string duration() {
  const string n = "[0-9]{1,9}";
  const auto run = [&n](const string& first, const string& second, const string& third) {
    const string last = n + third;
    const string rest = n + second + "(" + last + ")?";
    return any_of({n + first + "(" + rest + ")?", rest, last});
  };
  const string clock = "T" + run("H", "M", "S");
  return "P" + any_of({run("Y", "M", "D") + "(" + clock + ")?", clock, n + "W"});
}

string label() {
  return "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
}

// The last label is a name, so that no address is taken for a host.
string hostname() {
  return "(" + label() + "\\.)*[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
}

string email() {
  const string word = "[a-zA-Z0-9!#$%&'*+=?^_`{|}~-]+";
  return word + "(\\." + word + ")*@" + hostname();
}

string ipv4() {
  const string byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  return "(" + byte + "\\.){3}" + byte;
}

// Groups of which `::` leaves out at least one.
string ipv6() {
  const string group = "[0-9a-fA-F]{1,4}";
  const string grouped = "(" + group + ":)";
  string out = grouped + "{7}" + group;
  for (int before = 0; before <= 7; ++before) {
    const int after = 7 - before;
    out += '|';
    if (before > 0)
      out.append(grouped).append("{").append(std::to_string(before - 1)).append("}").append(group);
    out += "::";
    if (after > 0) {
      out.append("(").append(grouped).append("{0,").append(std::to_string(after - 1)).append("}");
      out.append(group).append(")?");
    }
  }
  return "(" + out + ")";
}

string uuid() {
  const string hex = "[0-9a-fA-F]";
  return hex + "{8}-" + hex + "{4}-" + hex + "{4}-" + hex + "{4}-" + hex + "{12}";
}

string uri() {
  const string plain = "[a-zA-Z0-9._~!$&'()*+,;=:@-]";
  return "[a-zA-Z][a-zA-Z0-9+.-]{0,31}://" + hostname() + "(:[0-9]{1,5})?(/" + plain + "*)*(\\?(" + plain +
         "|[/?])*)?(#(" + plain + "|[/?])*)?";
}

}  // namespace

std::optional<string> format_expression(std::string_view format) {
  if (format == "date") return date();
  if (format == "time") return time();
  if (format == "date-time") return date() + "[Tt]" + time();
  if (format == "duration") return duration();
  if (format == "hostname") return hostname();
  if (format == "email") return email();
  if (format == "ipv4") return ipv4();
  if (format == "ipv6") return ipv6();
  if (format == "uuid") return uuid();
  if (format == "uri") return uri();
  return std::nullopt;
}

std::optional<std::size_t> format_length_max(std::string_view format) {
  if (format == "email") return 254;
  if (format == "hostname") return 253;
  return std::nullopt;
}

}  // namespace kvasir::chat
