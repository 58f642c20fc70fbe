// A host of Native API components that behaves as 1C does, and on request as other hosts do. Driven by lines on the
// standard input (wire.hpp); each gets one line: "ok …", "err WCODE SCODE SOURCE TEXT" for a call that the component
// refused, or "bad WHY" for a command that could not be carried out. Ends with code 1 if memory was treated badly.
//
//   load PATH [level=N|level=none]      -> ok LEVEL ATTACHTYPE CLASSES
//   unload                              -> ok unmapped|mapped
//   new ID CLASS [habit…]               -> ok NAME INFO          habits: memory-first, repeat, no-memory, no-connection,
//                                          app=N, version=TEXT, isolated=0|1, locale=TEXT, language=TEXT
//   again ID                            -> ok                    Init and setMemManager once more
//   members ID                          -> ok [p:EN:RU:rw | m:EN:RU:PARAMETERS:RESULT:DEFAULT,DEFAULT…]…
//   find ID prop|method NAME            -> ok NUMBER
//   get ID NAME, set ID NAME VALUE      -> ok [VALUE]
//   call|func|proc ID NAME VALUE…       -> ok [VALUE]            omitted arguments get their defaults, as 1C does
//   raw ID get|set|name|method|default|func|proc NUMBER …        the functions themselves, any number
//   done ID
//   destroy ID done|- function|delete
//   fail N, counts                      -> ok LIVE GIVEN BAD LATE
//   expect WORD COMMAND…                                         -> the answer of the command, bad if its first value isn't WORD
//   chaos SEED SECONDS THREADS WORD…                             -> ok STEPS FAULTS: the interface in a random order (chaos.hpp)
//   time ID PROPERTY TIMES              -> ok NS NS: an empty call of the interface, and one that reads the property
//   parallel LANES, then a line "TIMES COMMAND [; COMMAND]…" per lane  -> ok, then an answer per lane
//   quit                                -> ok LIVE GIVEN BAD LATE OBJECTS
#include <dlfcn.h>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "ComponentBase.h"
#include "chaos.hpp"
#include "connection.hpp"
#include "memory.hpp"
#include "wire.hpp"

namespace {

using Words = std::vector<std::string>;

struct Object {
    IComponentBase *component = nullptr;
    Connection connection;
    bool memory_first = false, no_memory = false, no_connection = false;
};

class Host {
public:
    std::string run(const Words &line) {
        try {
            return command(line);
        } catch (const Bad &why) {
            return std::string("bad ") + why.what();
        } catch (const std::exception &why) {
            return std::string("bad ") + why.what();
        }
    }

    std::string counts() {
        const Memory::Counts now = memory.counts();
        return std::to_string(now.live) + " " + std::to_string(now.given) + " " + std::to_string(now.bad) + " " +
               std::to_string(faults());
    }

    size_t live_objects() const {
        size_t live = 0;
        for (const auto &entry : objects) live += entry.second->component != nullptr;
        return live;
    }

    bool clean() {
        const Memory::Counts now = memory.counts();
        return now.live == 0 && now.bad == 0 && faults() == 0 && live_objects() == 0;
    }

private:
    static const std::string &at(const Words &line, size_t place) {
        if (place >= line.size()) throw Bad("too few words");
        return line[place];
    }
    static long number(const std::string &word) { return std::strtol(word.c_str(), nullptr, 10); }

    // Value of the word "NAME=VALUE", if it is there.
    static std::optional<std::string> option(const Words &line, const std::string &name) {
        for (const std::string &word : line) {
            if (word.rfind(name + "=", 0) == 0) return word.substr(name.size() + 1);
        }
        return std::nullopt;
    }
    static bool flag(const Words &line, const std::string &name) {
        for (const std::string &word : line) {
            if (word == name) return true;
        }
        return false;
    }

    std::string command(const Words &line) {
        const std::string &verb = at(line, 0);
        if (verb == "load") return load(line);
        if (verb == "unload") return unload();
        if (verb == "new") return create(line);
        if (verb == "counts") return "ok " + counts();
        if (verb == "fail") {
            memory.fail(static_cast<unsigned long>(number(at(line, 1))));
            return "ok";
        }
        if (verb == "expect") {
            const std::string answer = command(Words(line.begin() + 2, line.end()));
            if (answer.rfind("ok " + at(line, 1), 0) == 0) return answer;
            throw Bad("not what was expected: " + answer);
        }
        if (verb == "chaos") return chaos(line);
        Object &object = find_object(at(line, 1));
        if (verb == "again") {
            introduce(object);
            return "ok";
        }
        if (verb == "members") return members(object);
        if (verb == "find") {
            const std::u16string name = text_of(at(line, 3));
            const long found = at(line, 2) == "prop" ? object.component->FindProp(name.c_str())
                                                     : object.component->FindMethod(name.c_str());
            return "ok " + std::to_string(found);
        }
        if (verb == "get") return get(object, find_property(object, at(line, 2)));
        if (verb == "set") return set(object, find_property(object, at(line, 2)), at(line, 3));
        if (verb == "call" || verb == "func" || verb == "proc") {
            const long method = object.component->FindMethod(text_of(at(line, 2)).c_str());
            if (method < 0) throw Bad("no such method");
            const bool function = verb == "func" || (verb == "call" && object.component->HasRetVal(method));
            return call(object, method, function, Words(line.begin() + 3, line.end()));
        }
        if (verb == "time") return time(object, find_property(object, at(line, 2)), number(at(line, 3)));
        if (verb == "raw") return raw(object, line);
        if (verb == "done") {
            object.component->Done();
            object.connection.close();
            return "ok";
        }
        if (verb == "destroy") return destroy(object, at(line, 2) == "done", at(line, 3) == "delete");
        throw Bad("unknown command");
    }

    std::string load(const Words &line) {
        if (library != nullptr) throw Bad("loaded already");
        path = bytes_of(at(line, 1));
        library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) throw Bad(dlerror());
        class_names = symbol<decltype(&GetClassNames)>("GetClassNames");
        class_object = symbol<decltype(&GetClassObject)>("GetClassObject");
        destroy_object = symbol<decltype(&DestroyObject)>("DestroyObject");
        auto capabilities = symbol<decltype(&SetPlatformCapabilities)>("SetPlatformCapabilities");
        auto attach_type = symbol<decltype(&GetAttachType)>("GetAttachType");
        const std::string level = option(line, "level").value_or("3");
        int answer = 0;
        if (level != "none") answer = capabilities(static_cast<AppCapabilities>(number(level)));
        const int attach = attach_type();
        return "ok " + std::to_string(answer) + " " + std::to_string(attach) + " " + hex_of(std::u16string(class_names()));
    }

    template <class Function> Function symbol(const char *name) {
        void *found = dlsym(library, name);
        if (found == nullptr) throw Bad(dlerror());
        return reinterpret_cast<Function>(found);
    }

    std::string unload() {
        if (library == nullptr) throw Bad("not loaded");
        if (live_objects() != 0) throw Bad("objects are alive");
        dlclose(library);
        library = nullptr;
        void *still = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
        if (still != nullptr) {
            dlclose(still);
            return "ok mapped";
        }
        return "ok unmapped";
    }

    std::string create(const Words &line) {
        if (library == nullptr) throw Bad("not loaded");
        {
            std::lock_guard<std::mutex> lock(objects_lock);
            auto found = objects.find(at(line, 1));
            if (found != objects.end()) {
                if (found->second->component != nullptr) throw Bad("the number is taken");
                // Kept after its end: a component must not come back to a connection.
                ended.push_back(std::move(found->second));
                objects.erase(found);
            }
        }
        auto object = std::make_unique<Object>();
        object->memory_first = flag(line, "memory-first");
        object->no_memory = flag(line, "no-memory");
        object->no_connection = flag(line, "no-connection");
        const auto app = option(line, "app"), version = option(line, "version"), isolated = option(line, "isolated");
        if (app || version) {
            object->connection.platform.emplace();
            object->connection.platform->info.Application = static_cast<IPlatformInfo::AppType>(number(app.value_or("-1")));
            object->connection.platform->version = text_of(version.value_or("-"));
        }
        if (isolated) {
            object->connection.attached.emplace();
            object->connection.attached->type = *isolated == "1" ? IAttachedInfo::eAttachedIsolated : IAttachedInfo::eAttachedNotIsolated;
        }
        IComponentBase *made = nullptr;
        if (class_object(text_of(at(line, 2)).c_str(), &made) == 0 || made == nullptr) throw Bad("no such class");
        object->component = made;
        introduce(*object);
        if (flag(line, "repeat")) introduce(*object);
        const long info = made->GetInfo();
        WCHAR_T *given = nullptr;
        std::string name = "-";
        if (made->RegisterExtensionAs(&given)) name = hex_of(take_name(given));
        if (auto locale = option(line, "locale")) made->SetLocale(text_of(*locale).c_str());
        if (auto language = option(line, "language")) made->SetUserInterfaceLanguageCode(text_of(*language).c_str());
        std::lock_guard<std::mutex> lock(objects_lock);
        objects[at(line, 1)] = std::move(object);
        return "ok " + name + " " + std::to_string(info);
    }

    void introduce(Object &object) {
        auto init = [&] {
            if (!object.no_connection) object.component->Init(static_cast<IAddInDefBase *>(&object.connection));
        };
        auto manager = [&] {
            if (!object.no_memory) object.component->setMemManager(static_cast<IMemoryManager *>(&memory));
        };
        if (object.memory_first) {
            manager();
            init();
        } else {
            init();
            manager();
        }
    }

    Object &find_object(const std::string &id) {
        std::lock_guard<std::mutex> lock(objects_lock);
        auto found = objects.find(id);
        if (found == objects.end() || found->second->component == nullptr) throw Bad("no such object");
        return *found->second;
    }

    // Copies a name that the component gave, and frees it.
    std::u16string take_name(const WCHAR_T *given) {
        if (given == nullptr) throw Bad("no name");
        std::u16string name;
        if (memory.owns(given, sizeof(WCHAR_T))) {
            name = given;
        } else {
            memory.count_bad();
        }
        void *block = const_cast<WCHAR_T *>(given);
        memory.FreeMemory(&block);
        return name;
    }

    std::string members(Object &object) {
        IComponentBase &component = *object.component;
        std::string answer = "ok";
        const long properties = component.GetNProps(), methods = component.GetNMethods();
        for (long i = 0; i < properties; ++i) {
            answer += " p:" + hex_of(take_name(component.GetPropName(i, 0))) + ":" + hex_of(take_name(component.GetPropName(i, 1))) + ":";
            answer += component.IsPropReadable(i) ? "r" : "-";
            answer += component.IsPropWritable(i) ? "w" : "-";
        }
        for (long i = 0; i < methods; ++i) {
            const long parameters = component.GetNParams(i);
            answer += " m:" + hex_of(take_name(component.GetMethodName(i, 0))) + ":" + hex_of(take_name(component.GetMethodName(i, 1)));
            answer += ":" + std::to_string(parameters) + (component.HasRetVal(i) ? ":1:" : ":0:");
            for (long p = 0; p < parameters; ++p) {
                tVariant value;
                std::memset(&value, 0, sizeof value);
                const bool has = component.GetParamDefValue(i, p, &value);
                answer += (p ? "," : "") + (has ? encode(value, memory) : std::string("none"));
                release(value, memory);
            }
        }
        return answer;
    }

    long find_property(Object &object, const std::string &name) {
        const long property = object.component->FindProp(text_of(name).c_str());
        if (property < 0) throw Bad("no such property");
        return property;
    }

    std::string outcome(Object &object, bool good, tVariant *value) {
        std::string answer;
        if (good) {
            answer = value != nullptr ? "ok " + encode(*value, memory) : "ok";
        } else if (auto error = object.connection.take_error()) {
            answer = "err " + std::to_string(error->wcode) + " " + std::to_string(error->scode) + " " + hex_of(error->source) + " " + hex_of(error->description);
        } else {
            answer = "err 0 0 - -";
        }
        if (value != nullptr) release(*value, memory);
        return answer;
    }

    std::string get(Object &object, long property) {
        tVariant value;
        std::memset(&value, 0, sizeof value);
        return outcome(object, object.component->GetPropVal(property, &value), &value);
    }

    std::string set(Object &object, long property, const std::string &word) {
        tVariant value = decode(word, memory);
        const bool good = object.component->SetPropVal(property, &value);
        release(value, memory);
        return outcome(object, good, nullptr);
    }

    // As 1C calls: every parameter is there, the omitted ones with their defaults.
    std::string call(Object &object, long method, bool function, const Words &given) {
        std::vector<tVariant> arguments;
        for (const std::string &word : given) arguments.push_back(decode(word, memory));
        const long parameters = object.component->GetNParams(method);
        for (long p = static_cast<long>(arguments.size()); p < parameters; ++p) {
            tVariant value;
            std::memset(&value, 0, sizeof value);
            if (!object.component->GetParamDefValue(method, p, &value)) break;
            arguments.push_back(value);
        }
        return invoke(object, method, function, arguments, static_cast<long>(arguments.size()));
    }

    // With no arguments the array is NULL.
    std::string invoke(Object &object, long method, bool function, std::vector<tVariant> &arguments, long count) {
        tVariant result;
        std::memset(&result, 0, sizeof result);
        tVariant *array = arguments.empty() ? nullptr : arguments.data();
        const bool good = function ? object.component->CallAsFunc(method, &result, array, count)
                                   : object.component->CallAsProc(method, array, count);
        for (tVariant &argument : arguments) release(argument, memory);
        return outcome(object, good, function ? &result : nullptr);
    }

    std::string raw(Object &object, const Words &line) {
        IComponentBase &component = *object.component;
        const std::string &what = at(line, 2);
        const long member = number(at(line, 3));
        if (what == "get") return get(object, member);
        if (what == "set") return set(object, member, at(line, 4));
        if (what == "name" || what == "method") {
            const long alias = number(at(line, 4));
            const WCHAR_T *name = what == "name" ? component.GetPropName(member, alias) : component.GetMethodName(member, alias);
            return name == nullptr ? "ok none" : "ok " + hex_of(take_name(name));
        }
        if (what == "default") {
            tVariant value;
            std::memset(&value, 0, sizeof value);
            const bool has = component.GetParamDefValue(member, number(at(line, 4)), &value);
            const std::string answer = std::string("ok ") + (has ? "1 " : "0 ") + encode(value, memory);
            release(value, memory);
            return answer;
        }
        if (what == "func" || what == "proc") {
            // The count is what the line says, however many arguments follow.
            std::vector<tVariant> arguments;
            for (size_t i = 5; i < line.size(); ++i) arguments.push_back(decode(line[i], memory));
            const long count = number(at(line, 4));
            if (count > static_cast<long>(arguments.size()) && !arguments.empty()) throw Bad("count beyond the array");
            return invoke(object, member, what == "func", arguments, count);
        }
        throw Bad("unknown command");
    }

    // Nanoseconds of one call on average: of the emptiest function of the interface, and of reading a property with what it gives
    // freed.
    std::string time(Object &object, long property, long times) {
        if (times <= 0) throw Bad("how many times");
        const auto measure = [times](auto &&body) {
            const auto start = std::chrono::steady_clock::now();
            for (long i = 0; i < times; ++i) body();
            const auto passed = std::chrono::steady_clock::now() - start;
            return std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(passed).count() / times);
        };
        IComponentBase &component = *object.component;
        const std::string empty = measure([&] { component.GetInfo(); });
        const std::string read = measure([&] {
            tVariant value;
            std::memset(&value, 0, sizeof value);
            component.GetPropVal(property, &value);
            release(value, memory);
        });
        return "ok " + empty + " " + read;
    }

    std::string destroy(Object &object, bool done, bool with_delete) {
        if (done) {
            object.component->Done();
            object.connection.close();
        }
        if (with_delete) {
            delete object.component;
            object.component = nullptr;
        } else if (destroy_object(&object.component) != 0 || object.component != nullptr) {
            throw Bad("not destroyed");
        }
        object.connection.close();
        return "ok";
    }

    // Uses of a connection that is over, or of what does not work everywhere.
    size_t faults() {
        size_t sum = 0;
        std::lock_guard<std::mutex> lock(objects_lock);
        for (auto &entry : objects) sum += entry.second->connection.faults();
        for (auto &object : ended) sum += object->connection.faults();
        return sum + chaos_faults;
    }

    std::string chaos(const Words &line) {
        if (library == nullptr) throw Bad("not loaded");
        const uint64_t seed = std::strtoull(at(line, 1).c_str(), nullptr, 10);
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(number(at(line, 2)));
        const long lanes = number(at(line, 3));
        const std::vector<std::string> dictionary(line.begin() + 4, line.end());
        const bool trace = std::getenv("CHAOS_TRACE") != nullptr;
        std::vector<std::unique_ptr<Chaos>> all;
        std::vector<std::thread> threads;
        for (long lane = 0; lane < lanes; ++lane) {
            const uint64_t own = seed + static_cast<uint64_t>(lane);
            all.push_back(std::make_unique<Chaos>(memory, class_object, destroy_object, dictionary, own, trace));
        }
        for (auto &one : all) {
            threads.emplace_back([&one, end] {
                while (std::chrono::steady_clock::now() < end) one->step();
                one->finish();
            });
        }
        size_t steps = 0;
        for (std::thread &thread : threads) thread.join();
        for (auto &one : all) {
            steps += one->steps;
            chaos_faults += one->faults();
        }
        return "ok " + std::to_string(steps) + " " + std::to_string(chaos_faults);
    }

    Memory memory;
    void *library = nullptr;
    std::string path;
    decltype(&GetClassNames) class_names = nullptr;
    decltype(&GetClassObject) class_object = nullptr;
    decltype(&DestroyObject) destroy_object = nullptr;
    std::map<std::string, std::unique_ptr<Object>> objects;
    std::vector<std::unique_ptr<Object>> ended;
    size_t chaos_faults = 0;
    std::mutex objects_lock;
};

bool read_line(std::string &line) {
    if (!std::getline(std::cin, line)) return false;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return true;
}

// The commands of a lane behind its first word, until the first that is not "ok".
bool run_all(Host &host, const Words &lane, std::string &answer) {
    Words command;
    for (size_t i = 1; i <= lane.size(); ++i) {
        if (i < lane.size() && lane[i] != ";") {
            command.push_back(lane[i]);
            continue;
        }
        answer = host.run(command);
        if (answer.rfind("ok", 0) != 0) return false;
        command.clear();
    }
    return true;
}

// Runs the commands of a lane per thread, each the given number of times.
void parallel(Host &host, size_t lanes) {
    std::vector<std::string> answers(lanes);
    std::vector<Words> commands(lanes);
    for (Words &command : commands) {
        std::string line;
        if (!read_line(line)) return;
        command = words(line);
    }
    std::vector<std::thread> threads;
    for (size_t lane = 0; lane < lanes; ++lane) {
        threads.emplace_back([&host, &answer = answers[lane], &command = commands[lane]] {
            const long times = command.empty() ? 0 : std::strtol(command[0].c_str(), nullptr, 10);
            answer = "bad no times";
            for (long i = 0; i < times; ++i) {
                if (!run_all(host, command, answer)) break;
            }
        });
    }
    for (std::thread &thread : threads) thread.join();
    std::cout << "ok" << std::endl;
    for (const std::string &answer : answers) std::cout << answer << std::endl;
}

} // namespace

int main() {
    Host host;
    std::string line;
    while (read_line(line)) {
        const Words command = words(line);
        if (command.empty()) continue;
        if (command[0] == "quit") {
            std::cout << "ok " << host.counts() << " " << host.live_objects() << std::endl;
            return host.clean() ? 0 : 1;
        }
        if (command[0] == "parallel") {
            parallel(host, command.size() > 1 ? std::strtoul(command[1].c_str(), nullptr, 10) : 0);
        } else {
            std::cout << host.run(command) << std::endl;
        }
    }
    // Whoever drove us is gone.
    return 3;
}
