// Drives the binary interface in a random order: functions, numbers of members, counts and kinds of arguments that no sane host
// would use together. The same seed does the same. Pointers are always valid, as a library can't defend itself against others.
#pragma once

#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "ComponentBase.h"
#include "connection.hpp"
#include "memory.hpp"
#include "wire.hpp"

class Chaos {
public:
    using Create = decltype(&GetClassObject);
    using Destroy = decltype(&DestroyObject);

    // `dictionary` holds arguments in the words of wire.hpp that lead deep into the component.
    Chaos(Memory &memory, Create create, Destroy destroy, std::vector<std::string> dictionary, uint64_t seed, bool trace)
        : memory(memory), create(create), destroy(destroy), dictionary(std::move(dictionary)), random(seed), trace(trace) {}

    void step() {
        ++steps;
        if (objects.empty() || (objects.size() < MOST && one_of(60))) {
            make();
            return;
        }
        const size_t place = below(objects.size());
        Object &object = *objects[place];
        IComponentBase &component = *object.component;
        switch (below(24)) {
        case 0:
            object.connection.open();
            component.Init(one_of(8) ? nullptr : static_cast<IAddInDefBase *>(&object.connection));
            break;
        case 1: component.setMemManager(one_of(8) ? nullptr : static_cast<IMemoryManager *>(&memory)); break;
        case 2: {
            WCHAR_T *name = nullptr;
            if (component.RegisterExtensionAs(&name)) drop(name);
            component.GetInfo();
            break;
        }
        case 3: component.SetLocale(text().c_str()); break;
        case 4: component.SetUserInterfaceLanguageCode(text().c_str()); break;
        case 5: component.FindProp(text().c_str()); break;
        case 6: component.FindMethod(text().c_str()); break;
        case 7: drop(component.GetPropName(number(component.GetNProps()), number(2))); break;
        case 8: drop(component.GetMethodName(number(component.GetNMethods()), number(2))); break;
        case 9: {
            const long property = number(component.GetNProps());
            component.IsPropReadable(property);
            component.IsPropWritable(property);
            break;
        }
        case 10: {
            const long method = number(component.GetNMethods());
            component.HasRetVal(method);
            tVariant value = nothing();
            component.GetParamDefValue(method, number(component.GetNParams(method)), &value);
            take(value);
            break;
        }
        case 11: memory.fail(below(4)); break;
        case 12: {
            const long property = number(component.GetNProps());
            note("set", property);
            tVariant value = variant();
            component.SetPropVal(property, &value);
            release(value, memory);
            break;
        }
        case 13:
        case 14: {
            const long property = number(component.GetNProps());
            note("get", property);
            tVariant value = nothing();
            component.GetPropVal(property, &value);
            take(value);
            break;
        }
        case 15:
            if (one_of(6)) {
                note("done", 0);
                component.Done();
                object.connection.close();
            }
            break;
        case 16:
            if (one_of(6)) end(place);
            break;
        default: call(object); break;
        }
        object_errors();
    }

    void finish() {
        while (!objects.empty()) end(objects.size() - 1);
        memory.fail(0);
    }

    size_t faults() {
        size_t sum = 0;
        for (auto &object : ended) sum += object->connection.faults();
        return sum;
    }

    size_t steps = 0;

private:
    struct Object {
        IComponentBase *component = nullptr;
        Connection connection;
    };

    static constexpr size_t MOST = 6;

    size_t below(size_t bound) { return bound == 0 ? 0 : std::uniform_int_distribution<size_t>(0, bound - 1)(random); }
    bool one_of(size_t n) { return below(n) == 0; }

    void note(const char *what, long which) {
        if (trace) {
            std::ostringstream line;
            line << steps << " " << what << " " << which << "\n";
            std::fputs(line.str().c_str(), stderr);
        }
    }

    void make() {
        IComponentBase *made = nullptr;
        if (create(one_of(20) ? text().c_str() : u"LicenceExtension", &made) == 0 || made == nullptr) return;
        auto object = std::make_unique<Object>();
        object->component = made;
        if (!one_of(5)) {
            object->connection.platform.emplace();
            object->connection.platform->info.Application = static_cast<IPlatformInfo::AppType>(static_cast<int>(below(9)) - 1);
            object->connection.platform->version = one_of(4) ? text() : u"8.3.27.1508";
        }
        if (!one_of(5)) {
            object->connection.attached.emplace();
            object->connection.attached->type = one_of(2) ? IAttachedInfo::eAttachedIsolated : IAttachedInfo::eAttachedNotIsolated;
        }
        const bool manager_first = one_of(2);
        if (manager_first && !one_of(20)) made->setMemManager(static_cast<IMemoryManager *>(&memory));
        if (!one_of(20)) made->Init(static_cast<IAddInDefBase *>(&object->connection));
        if (!manager_first && !one_of(20)) made->setMemManager(static_cast<IMemoryManager *>(&memory));
        objects.push_back(std::move(object));
    }

    void end(size_t place) {
        note("end", static_cast<long>(place));
        Object &object = *objects[place];
        if (!one_of(5)) object.component->Done();
        object.connection.close();
        if (one_of(4)) {
            delete object.component;
        } else {
            destroy(&object.component);
        }
        // Kept: a component must not come back to a connection.
        ended.push_back(std::move(objects[place]));
        objects.erase(objects.begin() + static_cast<std::ptrdiff_t>(place));
        if (ended.size() > 4096) ended.erase(ended.begin(), ended.begin() + 2048);
    }

    void call(Object &object) {
        IComponentBase &component = *object.component;
        const long method = number(component.GetNMethods());
        long count = component.GetNParams(method);
        if (count < 0 || one_of(8)) count = static_cast<long>(below(7));
        note("call", method);
        std::vector<tVariant> arguments;
        for (long i = 0; i < count; ++i) arguments.push_back(variant());
        // No array at all goes with any count.
        tVariant *array = arguments.empty() || one_of(50) ? nullptr : arguments.data();
        if (one_of(4)) {
            component.CallAsProc(method, array, count);
        } else {
            tVariant result = nothing();
            component.CallAsFunc(method, one_of(40) ? nullptr : &result, array, count);
            take(result);
        }
        for (tVariant &argument : arguments) release(argument, memory);
    }

    // Mostly a member that there is.
    long number(long members) {
        static const long odd[] = {-1, -2147483648L, 2147483647L, 1000};
        if (one_of(25)) return one_of(2) ? members : odd[below(4)];
        return members <= 0 ? 0 : static_cast<long>(below(static_cast<size_t>(members)));
    }

    std::u16string text() {
        std::u16string made;
        for (size_t left = one_of(50) ? below(5000) : below(12); left > 0; --left) {
            // Halves of surrogate pairs among them.
            made += static_cast<char16_t>(one_of(3) ? 1 + below(0xFFFF) : one_of(2) ? 0x410 + below(64) : 0x20 + below(95));
        }
        return made;
    }

    tVariant variant() {
        std::string word;
        switch (below(12)) {
        case 0: word = one_of(2) ? "u" : "n"; break;
        case 1: word = one_of(2) ? "t" : "f"; break;
        case 2: word = "B:" + std::to_string(below(256)); break;
        case 3: {
            static const int kinds[] = {VTYPE_I1, VTYPE_UI1, VTYPE_I2, VTYPE_UI2, VTYPE_I4, VTYPE_UI4, VTYPE_INT,
                                        VTYPE_UINT, VTYPE_I8, VTYPE_UI8, VTYPE_R4, VTYPE_R8, VTYPE_ERROR, VTYPE_HRESULT};
            static const char *numbers[] = {"0", "1", "2", "3", "-1", "0.5", "1e300", "-1e300", "nan", "inf", "9223372036854775807"};
            word = "k:" + std::to_string(kinds[below(14)]) + ":" + numbers[below(11)];
            break;
        }
        case 4: word = std::string(one_of(2) ? "s:" : "a:") + (one_of(3) ? std::string("-") : hex_of(text())); break;
        case 5: word = "b:" + hex_of(text()); break;
        case 6: word = one_of(2) ? "zs" : "zb"; break;
        case 7: word = "o:" + std::to_string(static_cast<long>(below(200000)) - 100000); break;
        case 8: word = "D:" + std::to_string(below(4000)) + "," + std::to_string(below(14)) + ",31,25,61,61"; break;
        case 9: word = "v:" + std::to_string(owning_kind(below(one_of(4) ? 65536 : 64))); break;
        default: word = dictionary.empty() ? "i:1" : dictionary[below(dictionary.size())]; break;
        }
        return decode(word, memory);
    }

    // A kind and nothing else: those whose pointer would be followed are told without a length by "zs" and "zb".
    static size_t owning_kind(size_t kind) { return kind == VTYPE_PSTR || kind == VTYPE_PWSTR || kind == VTYPE_BLOB ? 0 : kind; }

    static tVariant nothing() {
        tVariant value;
        std::memset(&value, 0, sizeof value);
        return value;
    }

    void drop(const WCHAR_T *name) {
        void *block = const_cast<WCHAR_T *>(name);
        memory.FreeMemory(&block);
    }

    // Reads a result, which must be well formed, and frees it.
    void take(tVariant &value) {
        encode(value, memory);
        release(value, memory);
    }

    void object_errors() {
        for (auto &object : objects) object->connection.take_error();
    }

    Memory &memory;
    Create create;
    Destroy destroy;
    std::vector<std::string> dictionary;
    std::mt19937_64 random;
    bool trace;
    std::vector<std::unique_ptr<Object>> objects, ended;
};
