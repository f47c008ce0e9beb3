// Boost.JSON's implementation, compiled once for this test program.
#include <boost/json/src.hpp>
