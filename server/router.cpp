#include "server/router.hpp"
