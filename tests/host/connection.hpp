// What the host gives to one component object: the connection, and what it tells of itself.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "AddInDefBase.h"

struct Error {
    unsigned short wcode;
    long scode;
    std::u16string source, description;
};

class Platform final : public IPlatformInfo {
public:
    std::u16string version, agent;
    AppInfo info{};
    const AppInfo *ADDIN_API GetPlatformInfo() override {
        info.AppVersion = version.c_str();
        info.UserAgentInformation = agent.empty() ? nullptr : agent.c_str();
        return &info;
    }
};

class Attached final : public IAttachedInfo {
public:
    AttachedType type = eAttachedNotIsolated;
    AttachedType ADDIN_API GetAttachedInfo() override { return type; }
};

class Connection final : public IAddInDefBaseEx {
public:
    std::optional<Platform> platform;
    std::optional<Attached> attached;

    bool ADDIN_API AddError(unsigned short wcode, const WCHAR_T *source, const WCHAR_T *description, long scode) override {
        std::lock_guard<std::mutex> lock(mutex);
        late += closed;
        errors.push_back({wcode, scode, source ? source : u"", description ? description : u""});
        return true;
    }
    bool ADDIN_API Read(WCHAR_T *, tVariant *, long *, WCHAR_T **) override { return unused(); }
    bool ADDIN_API Write(WCHAR_T *, tVariant *) override { return unused(); }
    bool ADDIN_API RegisterProfileAs(WCHAR_T *) override { return unused(); }
    bool ADDIN_API SetEventBufferDepth(long) override { return unused(); }
    long ADDIN_API GetEventBufferDepth() override { return unused(); }
    bool ADDIN_API ExternalEvent(WCHAR_T *, WCHAR_T *, WCHAR_T *) override { return unused(); }
    void ADDIN_API CleanEventBuffer() override { unused(); }
    bool ADDIN_API SetStatusLine(WCHAR_T *) override { return unused(); }
    void ADDIN_API ResetStatusLine() override { unused(); }
    IInterface *ADDIN_API GetInterface(Interfaces id) override {
        std::lock_guard<std::mutex> lock(mutex);
        late += closed;
        if (id == eIPlatformInfo && platform) {
            return &*platform;
        }
        if (id == eIAttachedInfo && attached) {
            return &*attached;
        }
        return nullptr;
    }

    // The last error since the last question.
    std::optional<Error> take_error() {
        std::lock_guard<std::mutex> lock(mutex);
        if (errors.empty()) {
            return std::nullopt;
        }
        Error last = errors.back();
        errors.clear();
        return last;
    }

    // From Done on every use is a fault of the component.
    void close() {
        std::lock_guard<std::mutex> lock(mutex);
        closed = true;
    }
    // A host may say Init again.
    void open() {
        std::lock_guard<std::mutex> lock(mutex);
        closed = false;
    }
    size_t faults() {
        std::lock_guard<std::mutex> lock(mutex);
        return late;
    }

private:
    // These work in clients only; a component that serves servers too must not call them.
    bool unused() {
        std::lock_guard<std::mutex> lock(mutex);
        ++late;
        return false;
    }

    std::mutex mutex;
    std::vector<Error> errors;
    bool closed = false;
    size_t late = 0;
};
