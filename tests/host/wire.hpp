// The host's protocol: one line asks, one line answers; words are separated by spaces.
//
// A text is its UTF-16 units in hex, four digits each; "-" is the empty text. A value is one word:
//   u undefined, n null, t true, f false, i:N integer, d:N real, s:TEXT, b:HEX bytes, D:Y,M,D,h,m,s date;
// for arguments also what only odd hosts send:
//   k:KIND:N a number in the numeric kind KIND, o:N date in days, a:HEX narrow text, zs and zb no pointer and no
//   length, v:KIND a kind and nothing else, B:N a truth value as the byte N.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "memory.hpp"
#include "types.h"

struct Bad : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline std::vector<std::string> words(const std::string &line) {
    std::vector<std::string> found;
    size_t at = 0;
    while (at < line.size()) {
        size_t end = line.find(' ', at);
        if (end == std::string::npos) {
            end = line.size();
        }
        if (end > at) {
            found.push_back(line.substr(at, end - at));
        }
        at = end + 1;
    }
    return found;
}

inline unsigned digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    throw Bad("not a hex digit");
}

inline std::string bytes_of(const std::string &hex) {
    if (hex == "-") return {};
    if (hex.size() % 2) throw Bad("odd hex");
    std::string bytes(hex.size() / 2, 0);
    for (size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<char>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    }
    return bytes;
}

inline std::u16string text_of(const std::string &hex) {
    if (hex == "-") return {};
    if (hex.size() % 4) throw Bad("odd text");
    std::u16string text(hex.size() / 4, 0);
    for (size_t i = 0; i < text.size(); ++i) {
        unsigned unit = 0;
        for (size_t k = 0; k < 4; ++k) unit = unit << 4 | digit(hex[4 * i + k]);
        text[i] = static_cast<char16_t>(unit);
    }
    return text;
}

inline std::string hex_of(const char *bytes, size_t len) {
    static const char digits[] = "0123456789abcdef";
    if (len == 0) return "-";
    std::string hex(len * 2, 0);
    for (size_t i = 0; i < len; ++i) {
        hex[2 * i] = digits[static_cast<unsigned char>(bytes[i]) >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    return hex;
}

inline std::string hex_of(const char16_t *units, size_t len) {
    if (len == 0) return "-";
    std::string hex;
    hex.reserve(len * 4);
    for (size_t i = 0; i < len; ++i) {
        char four[5];
        std::snprintf(four, sizeof four, "%04x", static_cast<unsigned>(units[i]));
        hex += four;
    }
    return hex;
}

inline std::string hex_of(const std::u16string &text) { return hex_of(text.data(), text.size()); }

inline void put_number(tVariant &value, int kind, const std::string &number) {
    const long long whole = std::strtoll(number.c_str(), nullptr, 10);
    const unsigned long long natural = std::strtoull(number.c_str(), nullptr, 10);
    const double real = std::strtod(number.c_str(), nullptr);
    value.vt = static_cast<TYPEVAR>(kind);
    switch (kind) {
    case VTYPE_I1: value.i8Val = static_cast<int8_t>(whole); break;
    case VTYPE_UI1: value.ui8Val = static_cast<uint8_t>(natural); break;
    case VTYPE_I2: value.shortVal = static_cast<int16_t>(whole); break;
    case VTYPE_UI2: value.ushortVal = static_cast<uint16_t>(natural); break;
    case VTYPE_I4: value.lVal = static_cast<int32_t>(whole); break;
    case VTYPE_INT: value.intVal = static_cast<int32_t>(whole); break;
    case VTYPE_ERROR: value.errCode = static_cast<int32_t>(whole); break;
    case VTYPE_HRESULT: value.hRes = static_cast<int32_t>(whole); break;
    case VTYPE_UI4: value.ulVal = static_cast<uint32_t>(natural); break;
    case VTYPE_UINT: value.uintVal = static_cast<uint32_t>(natural); break;
    case VTYPE_I8: value.llVal = whole; break;
    case VTYPE_UI8: value.ullVal = natural; break;
    case VTYPE_R4: value.fltVal = static_cast<float>(real); break;
    case VTYPE_R8: value.dblVal = real; break;
    default: throw Bad("not a numeric kind");
    }
}

// Makes an argument; its strings and bytes are from the manager, as a component may exchange them.
inline tVariant decode(const std::string &word, Memory &memory) {
    tVariant value;
    std::memset(&value, 0, sizeof value);
    if (word == "u") {
        value.vt = VTYPE_EMPTY;
    } else if (word == "n") {
        value.vt = VTYPE_NULL;
    } else if (word == "t" || word == "f") {
        value.vt = VTYPE_BOOL;
        value.bVal = word == "t";
    } else if (word == "zs") {
        value.vt = VTYPE_PWSTR;
    } else if (word == "zb") {
        value.vt = VTYPE_BLOB;
    } else if (word.size() < 2 || word[1] != ':') {
        throw Bad("not a value");
    } else {
        const std::string rest = word.substr(2);
        switch (word[0]) {
        case 'i': {
            const long long number = std::strtoll(rest.c_str(), nullptr, 10);
            put_number(value, number == static_cast<int32_t>(number) ? VTYPE_I4 : VTYPE_I8, rest);
            break;
        }
        case 'd': put_number(value, VTYPE_R8, rest); break;
        case 'k': {
            const size_t colon = rest.find(':');
            if (colon == std::string::npos) throw Bad("not a number");
            put_number(value, std::atoi(rest.c_str()), rest.substr(colon + 1));
            break;
        }
        case 'B': {
            value.vt = VTYPE_BOOL;
            value.ui8Val = static_cast<uint8_t>(std::atoi(rest.c_str()));
            break;
        }
        case 'v': value.vt = static_cast<TYPEVAR>(std::atoi(rest.c_str())); break;
        case 'o':
            value.vt = VTYPE_DATE;
            value.date = std::strtod(rest.c_str(), nullptr);
            break;
        case 'D': {
            value.vt = VTYPE_TM;
            struct tm &tm = value.tmVal;
            if (std::sscanf(rest.c_str(), "%d,%d,%d,%d,%d,%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                            &tm.tm_min, &tm.tm_sec) != 6) {
                throw Bad("not a date");
            }
            tm.tm_year -= 1900;
            tm.tm_mon -= 1;
            break;
        }
        case 's': {
            const std::u16string text = text_of(rest);
            value.vt = VTYPE_PWSTR;
            value.pwstrVal = static_cast<WCHAR_T *>(memory.take((text.size() + 1) * sizeof(WCHAR_T)));
            std::memcpy(value.pwstrVal, text.c_str(), (text.size() + 1) * sizeof(WCHAR_T));
            value.wstrLen = static_cast<uint32_t>(text.size());
            break;
        }
        case 'a':
        case 'b': {
            const std::string bytes = bytes_of(rest);
            value.vt = word[0] == 'a' ? VTYPE_PSTR : VTYPE_BLOB;
            value.pstrVal = static_cast<char *>(memory.take(bytes.size()));
            std::memcpy(value.pstrVal, bytes.data(), bytes.size());
            value.strLen = static_cast<uint32_t>(bytes.size());
            break;
        }
        default: throw Bad("not a value");
        }
    }
    return value;
}

// Reads a result. What its pointers name must be a live block of the manager, with room for the terminating NUL.
inline std::string encode(const tVariant &value, Memory &memory) {
    char number[64];
    switch (value.vt) {
    case VTYPE_EMPTY: return "u";
    case VTYPE_NULL: return "n";
    case VTYPE_BOOL: return value.bVal ? "t" : "f";
    case VTYPE_I4: return "i:" + std::to_string(value.lVal);
    case VTYPE_R8: std::snprintf(number, sizeof number, "d:%.17g", value.dblVal); return number;
    case VTYPE_TM: {
        const struct tm &tm = value.tmVal;
        std::snprintf(number, sizeof number, "D:%d,%d,%d,%d,%d,%d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                      tm.tm_hour, tm.tm_min, tm.tm_sec);
        return number;
    }
    case VTYPE_PWSTR:
        if (!memory.owns(value.pwstrVal, (value.wstrLen + size_t{1}) * sizeof(WCHAR_T)) ||
            value.pwstrVal[value.wstrLen] != 0) {
            memory.count_bad();
            return "u";
        }
        return "s:" + hex_of(value.pwstrVal, value.wstrLen);
    case VTYPE_BLOB:
        if (!memory.owns(value.pstrVal, value.strLen)) {
            memory.count_bad();
            return "u";
        }
        return "b:" + hex_of(value.pstrVal, value.strLen);
    default:
        // A kind that no component of ours returns.
        memory.count_bad();
        return "u";
    }
}

// Frees what a value owns. Other kinds own nothing.
inline void release(tVariant &value, Memory &memory) {
    void *block = nullptr;
    if (value.vt == VTYPE_PWSTR) {
        block = value.pwstrVal;
    } else if (value.vt == VTYPE_PSTR || value.vt == VTYPE_BLOB) {
        block = value.pstrVal;
    }
    memory.FreeMemory(&block);
    value.vt = VTYPE_EMPTY;
}
