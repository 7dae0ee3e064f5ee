#include "tls/crypto.hpp"
