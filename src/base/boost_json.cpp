// The one translation unit that holds Boost.JSON's code; everyone else includes <boost/json.hpp> only.
#include <boost/json/src.hpp>
