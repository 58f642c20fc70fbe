//! The catalogue of errors: every refusal of every program has a stable code, a class that 1C code and scripts know,
//! an HTTP status, and a cause with a remedy in Russian and English, all from the one table below.
//!
//! Classes in brackets and their meaning for 1C code are facts of the published interface; numbers are ours and never reused.

use serde::{Deserialize, Serialize};

/// One row of the catalogue.
pub(super) struct Entry {
    pub(super) code: Code,
    number: u16,
    class: &'static str,
    status: u16,
    pub(super) russian: [&'static str; 2],
    pub(super) english: [&'static str; 2],
}

macro_rules! catalogue {
    ($($number:literal $code:ident $class:literal $status:literal
        ru $ru:literal, $ru_fix:literal;
        en $en:literal, $en_fix:literal;)*) => {
        /// Stable code of an error; the name is what APIs carry, [`Code::number`] what 1C code compares.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $(#[doc = $en] $code,)*
        }

        static CATALOGUE: &[Entry] = &[$(Entry {
            code: Code::$code,
            number: $number,
            class: $class,
            status: $status,
            russian: [$ru, $ru_fix],
            english: [$en, $en_fix],
        }),*];
    };
}

// `{0}`, `{1}` … stand for the particulars of one occurrence. First text: the cause; second: what to do.
catalogue! {
    // Requests and rights.
    100 BadRequest "EHTTPBadRequest" 400
        ru "Запрос составлен неверно: {0}.", "Исправьте запрос.";
        en "The request is malformed: {0}.", "Correct the request.";
    101 NotFound "EHTTPNotFound" 404
        ru "Адрес \"{0}\" не найден.", "Список адресов: GET /api.";
        en "The requested URL \"{0}\" was not found.", "GET /api lists the addresses.";
    102 MethodNotAllowed "EHTTPMethodNotAllowed" 405
        ru "Метод {0} здесь не поддерживается.", "Допустимые методы: {1}.";
        en "Method {0} is not supported here.", "Allowed methods: {1}.";
    103 Unauthorized "EHTTPUnauthorized" 401
        ru "Неверное имя пользователя или пароль.", "Укажите имя и пароль; сброс пароля: licenceserver passwd.";
        en "Wrong user name or password.", "Give the name and the password; to reset them: licenceserver passwd.";
    104 Forbidden "EHTTPForbidden" 403
        ru "Доступ запрещён: {0}.", "Обратитесь к администратору сервера.";
        en "Access is denied: {0}.", "Ask the server's administrator.";
    105 PasswordChangeRequired "EHTTPForbidden" 403
        ru "Пароль по умолчанию нужно сменить (password_change_required).", "Задайте новый пароль: licenceserver passwd или PUT /api/password.";
        en "The default password must be changed first (password_change_required).", "Set a new one: licenceserver passwd or PUT /api/password.";
    106 TooLarge "EHTTPBadRequest" 413
        ru "Запрос слишком велик.", "Наибольший размер: {0} байт.";
        en "The request is too large.", "At most {0} bytes are accepted.";
    107 NotImplemented "EHTTPNotImplemented" 501
        ru "Не реализовано: {0}.", "Обновите сервер.";
        en "Not implemented: {0}.", "Update the server.";
    108 Busy "EHTTPServiceUnavailable" 503
        ru "Сервер перегружен.", "Повторите запрос через несколько секунд.";
        en "The server is overloaded.", "Repeat the request in a few seconds.";
    109 Internal "EHTTPInternalServerError" 500
        ru "Внутренняя ошибка: {0}.", "Посмотрите журнал сервера и сообщите разработчику.";
        en "Internal error: {0}.", "See the server's log and tell the developer.";
    110 ApiDisabled "EHTTPServiceUnavailable" 503
        ru "Внешнее API отключено в настройках.", "Включите его: [API] Enabled=1.";
        en "The API is switched off in the settings.", "Switch it on: [API] Enabled=1.";
    111 Timeout "EHTTPBadRequest" 408
        ru "Запрос не пришёл целиком за отведённое время.", "Повторите запрос.";
        en "The request did not arrive in time.", "Repeat the request.";
    112 RecordNotFound "EHTTPNotFound" 404
        ru "Нет записи {0}.", "Обновите список: запись могла завершиться.";
        en "There is no record {0}.", "Refresh the list: the record may have ended.";
    113 TooManyAttempts "EHTTPForbidden" 429
        ru "Слишком много попыток.", "Повторите через {0} с.";
        en "Too many attempts.", "Try again in {0} s.";
    120 SeriesKeyNeeded "EHTTPBadRequest" 400
        ru "{0}: так обозначены ключи нескольких поставщиков.", "Уточните, какого: SeriesKey={1}.";
        en "{0}: keys of several vendors are called so.", "Say which vendor's: SeriesKey={1}.";
    121 UnknownName "EHTTPBadRequest" 400
        ru "Имя \"{0}\" здесь неизвестно.", "Известны: {1}.";
        en "The name \"{0}\" is not known here.", "Known ones: {1}.";
    122 WrongValue "EHTTPBadRequest" 400
        ru "{0}: неверное значение \"{1}\".", "Допустимо: {2}.";
        en "{0}: the value \"{1}\" is wrong.", "Allowed: {2}.";
    123 ListTooLarge "EHTTPBadRequest" 413
        ru "Ответ больше {0} байт.", "Запросите список частями: limit= и offset=, или меньше полей: fields=.";
        en "The answer is larger than {0} bytes.", "Ask for the list in parts: limit= and offset=, or for fewer fields: fields=.";
    124 NotExternal "EServerResult.EBadSession" 409
        ru "Сеанс {0} создан компонентой, а не через API.", "Его аренду продлевает сама компонента.";
        en "Session {0} was made by the component, not through the API.", "The component renews its lease by itself.";
    125 TooManySessions "EHTTPBadRequest" 400
        ru "В запросе {0} сеансов.", "Передавайте не больше {1} за раз.";
        en "The request has {0} sessions.", "Send at most {1} at once.";
    126 CentreSilent "ECentre" 504
        ru "Центр лицензирования не ответил вовремя: {0}.", "Повторите позже; если не поможет, проверьте интернет, прокси и LicenceCenterUrl.";
        en "The licensing centre did not answer in time: {0}.", "Repeat later; if that does not help, check the network, the proxy and LicenceCenterUrl.";
    127 CentreFailing "ECentre" 502
        ru "Центр лицензирования {0} сейчас не работает: {1}", "Повторите позже; если не поможет, обратитесь к поставщику.";
        en "The licensing centre {0} does not work now: {1}", "Repeat later; if that does not help, ask the vendor.";
    128 SessionsAlike "EHTTPBadRequest" 400
        ru "Сеансов {0} несколько.", "Уточните, какой: {1}.";
        en "There are several sessions {0}.", "Say which one: {1}.";
    140 AddressTooLong "EHTTPBadRequest" 414
        ru "Адрес запроса слишком длинный.", "Сократите его; данные передают в теле запроса.";
        en "The address of the request is too long.", "Shorten it; data belong into the body.";
    141 HeaderTooLarge "EHTTPBadRequest" 431
        ru "Заголовки запроса слишком велики.", "Уменьшите их или увеличьте [Limits] HeaderSize.";
        en "The header of the request is too large.", "Make it smaller or raise [Limits] HeaderSize.";
    142 HttpVersion "EHTTPBadRequest" 505
        ru "HTTP/2 и другие версии HTTP, кроме 1.1 и 1.0, не поддерживаются.", "Настройте программу или прокси на HTTP/1.1.";
        en "HTTP/2 is not spoken here, nor any version but HTTP/1.1 and 1.0.", "Make the program or proxy use HTTP/1.1.";
    143 LengthRequired "EHTTPBadRequest" 411
        ru "Длина тела запроса не названа: Transfer-Encoding не принимается.", "Передавайте тело с Content-Length.";
        en "The length of the body is not told: Transfer-Encoding is not accepted.", "Send the body with Content-Length.";
    144 SignInsFailed "EHTTPUnauthorized" 401
        ru "Неудачных попыток входа: {0}, за {1} мин.", "Если пароли подбирают, ограничьте доступ: [Console] AllowedAddresses.";
        en "Failed sign-ins: {0} within {1} min.", "If somebody guesses passwords, limit access: [Console] AllowedAddresses.";

    // Keys: why one can't be used.
    200 DocumentDamaged "ELicenceFile" 400
        ru "{0}: повреждён, {1}.", "Восстановите файл из копии или получите его заново.";
        en "{0}: damaged, {1}.", "Restore the file from a copy or get it again.";
    201 DocumentVersion "ELicenceFile" 400
        ru "{0}: формат версии {1} этой программе неизвестен.", "Обновите программу.";
        en "{0}: format version {1} is unknown to this program.", "Update the program.";
    202 SignatureWrong "ELicenceFile" 400
        ru "{0}: подпись неверна.", "Файл изменён или подписан чужим ключом; получите его заново у поставщика.";
        en "{0}: the signature is wrong.", "The file was altered or signed by another key; get it again from the vendor.";
    203 OtherServer "EKeyUnusable" 409
        ru "Ключ {0} выдан другому серверу.", "Получите резервный код на прежнем сервере и установите его здесь.";
        en "Key {0} was issued to another server.", "Get a reserve code on the former server and install it here.";
    204 HardwareChanged "EKeyUnusable" 409
        ru "Недоступен: изменена конфигурация компьютера (совпало {0} из {1}, нужно {2}).", "Верните прежнее оборудование или обратитесь к поставщику за переактивацией.";
        en "Unavailable: the computer's configuration has changed (weight {0} of {1} matches, {2} is needed).", "Bring back the former hardware or ask the vendor to re-activate the key.";
    205 KeyExpired "EKeyUnusable" 409
        ru "Срок действия ключа {0} истёк {1}.", "Продлите лицензию у поставщика.";
        en "Key {0} expired on {1}.", "Renew the licence with the vendor.";
    206 KeyNotStarted "EKeyUnusable" 409
        ru "Ключ {0} начнёт действовать {1}.", "Дождитесь этой даты.";
        en "Key {0} starts on {1}.", "Wait for that date.";
    207 KeyDisabled "EKeyUnusable" 409
        ru "Ключ {0} отключён администратором.", "Включите его в консоли.";
        en "Key {0} was switched off by the administrator.", "Switch it on in the console.";
    208 KeyRevoked "EKeyUnusable" 409
        ru "Ключ {0} отозван поставщиком.", "Обратитесь к поставщику.";
        en "Key {0} was revoked by the vendor.", "Ask the vendor.";
    209 KeySuperseded "EKeyUnusable" 409
        ru "Ключ {0} заменён более новым выпуском.", "Этот файл можно удалить.";
        en "Key {0} is superseded by a newer issue.", "This file can be removed.";
    210 NoMainKey "EKeyUnusable" 409
        ru "Дополнительный ключ {0} не работает без основного ключа серии.", "Установите основной ключ на этом же компьютере.";
        en "Additional key {0} does not work without a main key of its series.", "Install the main key on the same computer.";
    211 DemoBesideOthers "EKeyUnusable" 409
        ru "Демонстрационный ключ {0} не работает рядом с другими ключами серии.", "Удалите его: действуют остальные ключи.";
        en "Demo key {0} does not work beside other keys of its series.", "Remove it: the other keys are in force.";
    212 CarrierMissing "EKeyUnusable" 409
        ru "Носитель {0} не подключён.", "Подключите аппаратный носитель.";
        en "Carrier {0} is not plugged in.", "Plug the carrier in.";
    213 IdentityServedElsewhere "EIdentity" 409
        ru "Этот сервер уже работает на данном компьютере{0}.", "Остановите другой экземпляр: копия папки данных лицензий не добавляет. Процесс чужого пользователя может завершить root.";
        en "This server already runs on this computer{0}.", "Stop the other instance: a copy of the data folder adds no licences. Root can end a process of another user.";
    214 RenewalOverdue "EKeyUnusable" 409
        ru "Ключ {0} нужно было обновить до {1}.", "Обновите лицензию через центр лицензирования.";
        en "Key {0} had to be renewed before {1}.", "Update the licence through the centre.";
    215 KeyExpiresSoon "EKeyUnusable" 409
        ru "Срок действия ключа {0} истекает {1}, осталось дней: {2}.", "Продлите лицензию у поставщика.";
        en "Key {0} expires on {1}, days left: {2}.", "Renew the licence with the vendor.";
    216 RenewalDue "EKeyUnusable" 409
        ru "Ключ {0} нужно обновить до {1}, осталось дней: {2}.", "Обновите лицензию через центр лицензирования.";
        en "Key {0} must be renewed before {1}, days left: {2}.", "Update the licence through the centre.";
    217 PartsChanged "EKeyUnusable" 409
        ru "Ключ {0} узнаёт не все части компьютера (совпало {1} из {2}, нужно {3}).", "До следующей замены оборудования обратитесь к поставщику за переактивацией.";
        en "Key {0} does not know all parts of the computer again (weight {1} of {2} matches, {3} is needed).", "Ask the vendor to re-activate the key before more hardware is replaced.";
    218 KeyRetired "EKeyUnusable" 409
        ru "Ключ {0} деактивирован {1}: за него выдан резервный код.", "Установите резервный код на этом или другом компьютере.";
        en "Key {0} was deactivated on {1}: a reserve code was given for it.", "Install the reserve code on this or another computer.";
    219 ForeignDocument "ELicenceFile" 400
        ru "{0}: не файл этой системы.", "Файл оригинальной СЛК или другой программы здесь не используется и не изменяется; повреждённый свой файл восстановите из копии.";
        en "{0}: no file of this system.", "A file of the original system or of another program is neither used here nor touched; a damaged one of our own is restored from a copy.";
    220 LockUnusable "EIdentity" 409
        ru "Файл блокировки {0} использовать нельзя: {1}.", "Выясните, кто его создал, и удалите его: сервер создаст свой.";
        en "Lock file {0} can't be used: {1}.", "Find out who has made it and remove it: the server makes its own.";

    // The settings over the API.
    150 SettingOfFile "EHTTPForbidden" 403
        ru "Настройка {0} меняется только в самом файле.", "Исправьте licenceserver.conf на компьютере сервера.";
        en "Setting {0} is changed in the file itself only.", "Edit licenceserver.conf on the server's computer.";

    // Versions that meet.
    151 CallUnknown "EVersionMismatch" 501
        ru "Сервер не знает этого вызова компоненты: она новее.", "Обновите сервер.";
        en "The server does not know this call of the component, which is newer.", "Update the server.";
    152 NewerRefusal "EVersionMismatch" 409
        ru "Отказ по причине, которой эта версия программы не знает.", "Обновите компоненту лицензирования.";
        en "Refused for a reason that this version of the program does not know.", "Update the licensing component.";

    // Seats: why one is refused or lost.
    300 NoKey "EServerResult.ELicenceNotFound" 404
        ru "На сервере нет ключа защиты серии {0}.", "Установите лицензию в консоли сервера.";
        en "The server has no key of series {0}.", "Install a licence in the server's console.";
    301 NoUsableKey "EServerResult.ELicenceNotFound" 409
        ru "Нет рабочего ключа серии {0}: {1}", "Состояние ключей показывает консоль сервера.";
        en "No key of series {0} can be used: {1}", "The server's console shows the state of the keys.";
    302 AllTaken "EServerResult.ELicenceNotFound" 409
        ru "Все лицензии серии {0} заняты: {1} из {2}.", "Завершите лишние сеансы или добавьте лицензии.";
        en "All licences of series {0} are taken: {1} of {2}.", "End sessions that are not needed or add licences.";
    303 SessionUnknown "EServerResult.ESessionNotFound" 404
        ru "Сеанс завершён на сервере: {0}.", "Получите лицензию заново.";
        en "The session has ended on the server: {0}.", "Take a licence again.";
    304 SessionTakenOver "EServerResult.ESessionTakenOver" 409
        ru "Сеанс продолжен в другом процессе.", "Этот объект больше не нужен.";
        en "The session goes on in another process.", "This object is not needed any more.";
    305 SessionEnding "EServerResult.ELicenceNotFound" 409
        ru "Сеанс завершается: лицензий серии {0} стало меньше.", "Добавьте лицензии или завершите лишние сеансы.";
        en "The session is ending: series {0} has fewer licences now.", "Add licences or end sessions that are not needed.";
    306 SessionDropped "EServerResult.ESessionDropped" 409
        ru "Сеанс завершён администратором.", "Получите лицензию заново.";
        en "The session was ended by the administrator.", "Take a licence again.";
    307 SubkeyMissing "EServerResult.EFeatureMissing" 409
        ru "Лицензия не даёт доступа к объекту \"{0}\": {1}.", "Приобретите лицензию с этой возможностью.";
        en "The licence gives no access to object \"{0}\": {1}.", "Obtain a licence with this feature.";
    308 SeatNeeded "EServerResult.ESessionNotFound" 409
        ru "Объект \"{0}\" открывается только сеансу, занявшему лицензию.", "Сначала получите лицензию.";
        en "Object \"{0}\" opens only for a session that holds a licence.", "Take a licence first.";
    309 StoreFailed "EServerResult.EStore" 503
        ru "Хранилище сервера не приняло запись: {0}.", "Проверьте место на диске и права на папку данных.";
        en "The server's store did not accept a write: {0}.", "Check the disk space and the rights on the data folder.";
    310 ConnectionUnknown "EServerResult.EConnectionNotFound" 404
        ru "Соединение серверу неизвестно.", "Соединитесь заново.";
        en "The server does not know this connection.", "Connect again.";
    311 FrameRefused "EServerResult.EProtocol" 400
        ru "Кадр протокола отвергнут: {0}.", "Соединитесь заново; если повторяется, проверьте сеть между компьютерами.";
        en "A protocol frame was refused: {0}.", "Connect again; if it goes on, check the network between the computers.";
    312 ProtocolMismatch "EVersionMismatch" 409
        ru "Версии протокола не совпадают: компонента {0}, сервер {1}.", "Обновите {2}.";
        en "The protocol versions do not match: component {0}, server {1}.", "Update {2}.";
    313 AmbiguousSeries "EServerResult.ELicenceNotFound" 409
        ru "Серию {0} используют два поставщика.", "Укажите якорь доверия в конфигурации.";
        en "Two vendors use series {0}.", "Give the trust anchor in the configuration.";
    314 BadSession "EServerResult.EBadSession" 400
        ru "Данные сеанса неверны: {0}.", "Исправьте вызов УстановитьДанныеСеанса.";
        en "The session data are wrong: {0}.", "Correct the call of SetSessionData.";
    315 WrongItn "EServerResult.ELicenceNotFound" 409
        ru "Нет рабочего ключа серии {0}, выданного на ИНН {1}.", "Проверьте ИНН или установите лицензию, выданную на него.";
        en "No usable key of series {0} was issued to ITN {1}.", "Check the ITN or install a licence that was issued to it.";
    316 WrongIec "EServerResult.ELicenceNotFound" 409
        ru "Нет рабочего ключа серии {0}, выданного на КПП {1}.", "Проверьте КПП или установите лицензию, выданную на него.";
        en "No usable key of series {0} was issued to IEC {1}.", "Check the IEC or install a licence that was issued to it.";
    317 VersionTooOld "EServerResult.ELicenceNotFound" 409
        ru "Лицензии серии {0} не распространяются на версию продукта {1}: наибольшая версия {2}.", "Приобретите обновление лицензии.";
        en "The licences of series {0} do not cover product version {1}: the highest is {2}.", "Obtain an upgrade of the licence.";
    318 RegNoMissing "EServerResult.ELicenceNotFound" 409
        ru "Нет рабочего ключа серии {0} с регистрационным номером {1}.", "Проверьте номер; ключи показывает консоль сервера.";
        en "No usable key of series {0} has registration number {1}.", "Check the number; the server's console shows the keys.";
    319 KeyNoMissing "EServerResult.ELicenceNotFound" 409
        ru "Нет рабочего ключа серии {0} с серийным номером {1}.", "Проверьте номер; ключи показывает консоль сервера.";
        en "No usable key of series {0} has serial number {1}.", "Check the number; the server's console shows the keys.";
    320 FittingTaken "EServerResult.ELicenceNotFound" 409
        ru "Лицензии серии {0}, доступные этому сеансу, заняты: {1} из {2}.", "Завершите лишние сеансы, добавьте лицензии или измените условия контроля.";
        en "The licences of series {0} that this session may take are taken: {1} of {2}.", "End sessions that are not needed, add licences or change the conditions of the control.";
    321 AccessCodeWrong "EServerResult.EAccessCode" 403
        ru "Код доступа серверу неизвестен.", "Проверьте код: его задаёт администратор в разделе [AccessCodes].";
        en "The server does not know this access code.", "Check the code: the administrator sets it in section [AccessCodes].";
    322 AccessCodeNeeded "EServerResult.EAccessCode" 403
        ru "Все ключи серии {0} отведены под коды доступа.", "Укажите код доступа (УстановитьКодДоступа) или добавьте ключ без кода.";
        en "All keys of series {0} are set aside for access codes.", "Give an access code (SetAccessCode) or add a key without one.";
    323 SeatShared "EServerResult.ELicenceNotFound" 409
        ru "Место в серии {0} общее с другими сеансами, которым нужен ключ {1}, а этому сеансу он не подходит.", "Завершите те сеансы или измените условия контроля.";
        en "The seat in series {0} is shared with other sessions that need key {1}, which does not fit this session.", "End those sessions or change the conditions of the control.";
    330 LedgerRolledBack "EServerResult.EStore" 503
        ru "Учёт сеансов на сервере возвращён к прежнему состоянию, поэтому новые лицензии серии {0} не выдаются до {1}.", "Повторите после этого времени. Сеансы, которые уже работали, продолжают работу.";
        en "The server's record of sessions went back to an earlier state, so no new licence of series {0} is given until {1}.", "Try again after that time. Sessions that were at work already go on.";
    331 RollbackFound "EServerResult.EStore" 409
        ru "{0} при запуске обнаружено, что учёт сеансов старше, чем был: {1}. До {2} новые лицензии не выдаются.", "Работавшие сеансы продолжаются, после этого времени сервер работает как обычно. Если ledger.db меняли не вы, выясните, кто или что это сделало.";
        en "At the start, {0}, the record of sessions was found to be older than it had been: {1}. No new licence is given until {2}.", "Sessions at work go on, and after that time the server works as usual. Unless you replaced ledger.db yourself, find out who or what did.";
    335 AddressAtLimit "EServerResult.ELicenceNotFound" 409
        ru "С адреса {1} уже занято лицензий серии {0}: {2}; больше с одного адреса не выдаётся ([Limits] SeatsPerAddress={3}).", "Завершите лишние сеансы этого адреса; серверу 1С или терминальному серверу администратор снимает ограничение в [Limits] SeatsUnlimited.";
        en "Address {1} holds {2} licences of series {0}, and one address gets no more ([Limits] SeatsPerAddress={3}).", "End sessions of this address that are not needed; for a 1C server or a terminal server the administrator lifts the limit in [Limits] SeatsUnlimited.";
    336 ComputerAtLimit "EServerResult.ELicenceNotFound" 409
        ru "Компьютером {1} уже занято лицензий серии {0}: {2}; больше одному компьютеру не выдаётся ([Limits] SeatsPerComputer={3}).", "Завершите лишние сеансы этого компьютера; серверу 1С или терминальному серверу администратор снимает ограничение в [Limits] SeatsUnlimited.";
        en "Computer {1} holds {2} licences of series {0}, and one computer gets no more ([Limits] SeatsPerComputer={3}).", "End sessions of this computer that are not needed; for a 1C server or a terminal server the administrator lifts the limit in [Limits] SeatsUnlimited.";

    // Activation.
    400 CodeMalformed "EActivationCode" 400
        ru "Это не код активации: {0}.", "Код состоит из 20 цифр, 5 групп по 4; проверьте его.";
        en "This is not an activation code: {0}.", "A code has 20 digits, 5 groups of 4; check it.";
    401 CodeUnknown "EActivationCode" 404
        ru "Код активации центру неизвестен.", "Проверьте код и адрес центра лицензирования.";
        en "The centre does not know this activation code.", "Check the code and the centre's address.";
    402 CodeUsed "EActivationCode" 409
        ru "Код активации уже использован на другом компьютере.", "Получите там резервный код или обратитесь к поставщику.";
        en "This activation code was already used on another computer.", "Get a reserve code there or ask the vendor.";
    403 CodeBlocked "EActivationCode" 403
        ru "Код активации заблокирован поставщиком.", "Обратитесь к поставщику.";
        en "This activation code is blocked by the vendor.", "Ask the vendor.";
    404 CentreUnreachable "ECentre" 502
        ru "Центр лицензирования недоступен: {0}.", "Проверьте интернет, прокси и LicenceCenterUrl.";
        en "The licensing centre can't be reached: {0}.", "Check the network, the proxy and LicenceCenterUrl.";
    405 CentreNotSet "ECentre" 409
        ru "Адрес центра лицензирования не задан.", "Укажите [Common] LicenceCenterUrl.";
        en "The address of the licensing centre is not set.", "Set [Common] LicenceCenterUrl.";
    406 CentreAnswerWrong "ECentre" 502
        ru "Ответ центра неверен: {0}.", "Обратитесь к поставщику.";
        en "The centre's answer is wrong: {0}.", "Ask the vendor.";
    407 SeriesNotServed "EActivationCode" 409
        ru "Центр сейчас не выпускает лицензии серии {0}: {1}.", "Обратитесь к поставщику.";
        en "The centre does not issue licences of series {0} now: {1}.", "Ask the vendor.";
    408 OwnerMismatch "EActivationCode" 403
        ru "ИНН или КПП не совпадают с указанными при продаже.", "Проверьте ИНН и КПП.";
        en "ITN or IEC differ from those given at the sale.", "Check ITN and IEC.";
    409 RequestSignature "ECentre" 400
        ru "Подпись запроса активации неверна.", "Повторите активацию с самого сервера.";
        en "The signature of the activation request is wrong.", "Repeat the activation from the server itself.";
    410 KeyRuleViolated "EActivationCode" 409
        ru "Эту лицензию здесь установить нельзя: {0}.", "Код не потрачен; см. состояние ключей в консоли.";
        en "This licence can't be installed here: {0}.", "The code is not spent; the console shows the state of the keys.";
    411 OfferOver "EActivationCode" 409
        ru "Срок, в который код можно было активировать, истёк {0}.", "Обратитесь к поставщику.";
        en "The code had to be activated before {0}.", "Ask the vendor.";
    412 TransferLimit "EActivationCode" 409
        ru "Ключ {0} уже переносили: раз – {1}, за {2} дн.; больше нельзя.", "Повторите после {3} или попросите поставщика разрешить ещё один перенос.";
        en "Key {0} was moved {1} times within {2} days; that is the limit.", "Repeat after {3} or ask the vendor to allow one more transfer.";
    413 KeyUnknown "ECentre" 404
        ru "Центр не выпускал ключ {0}.", "Проверьте, что LicenceCenterUrl – адрес центра того поставщика, который продал ключ.";
        en "The centre has not issued key {0}.", "Check that LicenceCenterUrl is the centre of the vendor who sold the key.";
    414 KeyElsewhere "ECentre" 409
        ru "Ключ {0} перенесён на другой сервер.", "Здесь он больше не действует; обновите лицензии. Если перенос сделали не вы, обратитесь к поставщику.";
        en "Key {0} was moved to another server.", "It works here no more; update the licences. If you did not move it, ask the vendor.";
    415 OtherMachine "ECentre" 409
        ru "Ключ {0} выпущен для другого компьютера: от прежнего осталось слишком мало.", "Попросите поставщика разрешить ещё один перенос, затем повторите.";
        en "Key {0} was issued for another computer: too little of the former one is left.", "Ask the vendor to allow one more transfer, then repeat.";
    416 DemoRefused "EActivationCode" 403
        ru "Демонстрационная лицензия серии {0} не выдана: {1}.", "Введите код активации или обратитесь к поставщику.";
        en "No demo licence of series {0}: {1}.", "Enter an activation code or ask the vendor.";
    417 RepeatDiffers "EHTTPBadRequest" 409
        ru "С Idempotency-Key \"{0}\" уже пришёл другой запрос.", "Дайте каждому новому запросу свой ключ.";
        en "Another request came with Idempotency-Key \"{0}\" already.", "Give each new request a key of its own.";
    418 TokenWrong "EHTTPUnauthorized" 401
        ru "Токен неверен или отозван.", "Получите токен: licencecenter token.";
        en "The token is wrong or was withdrawn.", "Get a token: licencecenter token.";
    419 CentreStoreFailed "ECentre" 503
        ru "Хранилище центра лицензирования сейчас не работает.", "Повторите позже: код не пропадёт. Причина – в журнале центра у поставщика.";
        en "The store of the licensing centre does not work at present.", "Try again later: no code is lost. The cause is in the log of the vendor's centre.";
    450 ResponseUnknown "ECentre" 409
        ru "Ответ центра не относится ни к одному запросу этого сервера.", "Создайте запрос на этом сервере, получите на него ответ и установите его здесь.";
        en "This answer of the centre belongs to no request of this server.", "Make a request on this server, get an answer to it and install it here.";
    451 CodeOfOtherSeries "EActivationCode" 409
        ru "Код активации относится к серии {0}, нужна серия {1}.", "Код не потрачен; введите код своей программы.";
        en "The activation code is of series {0}, series {1} is needed.", "The code is not spent; enter a code of your program.";
    456 CodeOfOtherVendor "EActivationCode" 409
        ru "Код активации относится к серии {0} другого поставщика.", "Код не потрачен; введите код поставщика своей программы и проверьте, что LicenceCenterUrl – адрес его центра.";
        en "The activation code is of another vendor's series {0}.", "The code is not spent; enter a code of your program's vendor, and check that LicenceCenterUrl is his centre.";
    457 KeyOutdated "EKeyUnusable" 409
        ru "Ключ {0}: здесь был выпуск {1}, а этот файл – выпуск {2}, из старой копии.", "Обновите лицензии или установите код ключа ещё раз: код не тратится.";
        en "Key {0}: issue {1} was here, and this file is issue {2}, of an old copy.", "Update the licences or install the key's code once more: it is not spent by that.";
    452 MemoryClosed "EKeyMemory" 403
        ru "Пароль памяти ключа {0} неверен.", "Укажите пароль, с которым память была закрыта.";
        en "The password of the memory of key {0} is wrong.", "Give the password that the memory was closed with.";
    453 MemoryTooLong "EKeyMemory" 400
        ru "{0}: допустимо знаков: {1}.", "Сократите значение.";
        en "{0}: at most {1} characters.", "Shorten the value.";
    458 MemoryNeedsSeat "EServerResult.ESessionNotFound" 403
        ru "Память ключа изменяет только сеанс, у которого есть лицензия серии.", "Получите лицензию (УстановитьДанныеСеанса) и повторите; при контроле только наличия ключа память доступна лишь для чтения.";
        en "Only a session that has a licence of the series may change the memory of a key.", "Take a licence (SetSessionData) and repeat; where only the presence of a key is controlled the memory can but be read.";
    454 BackupWrong "EBackup" 400
        ru "{0}: не резервная копия сервера или она повреждена: {1}.", "Укажите файл, созданный командой licenceserver backup.";
        en "{0}: no backup of a server, or a damaged one: {1}.", "Give a file that licenceserver backup has made.";
    455 ServerRunning "EStore" 409
        ru "Сервер работает, а для этого должен быть остановлен.", "Остановите его и повторите команду.";
        en "The server runs and must be stopped for this.", "Stop it and repeat the command.";
    463 BackupOfOther "EBackup" 409
        ru "{0}: это копия другого сервера: {1}.", "Если нужна именно она, повторите с --force: прежние файлы будут отложены. Ключи, выданные другому компьютеру, здесь не заработают.";
        en "{0}: this is a backup of another server: {1}.", "If it is the one that you mean, repeat with --force: what is here will be put aside. Keys issued to another computer won't work here.";
    464 BackupTooLarge "EBackup" 400
        ru "{0}: для резервной копии слишком много: файлов – {1}, байт – {2}.", "Допустимо файлов – {3}, байт – {4}. Уберите лишнее из папки данных или укажите файл, созданный командой licenceserver backup.";
        en "{0}: too much for a backup: {1} files, {2} bytes.", "At most {3} files of {4} bytes are allowed. Remove what does not belong into the data folder, or give a file that licenceserver backup has made.";

    // The component.
    500 AttachFailed "EAttachAddIn" 500
        ru "Компонента не готова к работе: {0}.", "Подключите компоненту заново.";
        en "The component is not ready: {0}.", "Attach the component again.";
    501 VersionMismatch "EVersionMismatch" 409
        ru "Нужна версия компоненты {0}, подключена {1}.", "Обновите компоненту.";
        en "Component version {0} is required, {1} is attached.", "Update the component.";
    502 BadArgument "EExecuteError" 400
        ru "{0}: неверный параметр: {1}.", "Исправьте вызов.";
        en "{0}: wrong argument: {1}.", "Correct the call.";
    503 ServerNotFound "ELocalServerNotFound" 503
        ru "Сервер СЛК не найден: {0}.", "Проверьте адрес и порт сервера и что служба licenceserver работает.";
        en "No licence server was found: {0}.", "Check the server's address and port and that licenceserver runs.";
    504 ServerNotTrusted "EExecuteError" 403
        ru "Сервер {0} не подтвердил ключ серии {1}: {2}.", "Проверьте якорь доверия и лицензии на сервере.";
        en "Server {0} did not prove a key of series {1}: {2}.", "Check the trust anchor and the licences on the server.";
    505 NoAnchor "EExecuteError" 409
        ru "Якорь доверия серии {0} не задан: серверу нечем доказать, что он настоящий, поэтому секреты ему не передаются и объекты не открываются.", "Задайте свойство ЯкорьДоверия до вызова Запуск, загрузите данные защиты из макета (ЗагрузитьДанныеЗащиты) или подключите компоненту из макета с якорями (licenceedit template).";
        en "No trust anchor is set for series {0}: the server can't prove that it is the true one, so it is told no secret and no object is opened.", "Set property TrustAnchor before Start, load the protection data from the template (LoadProtectionData), or attach the component from a template with anchors (licenceedit template).";
    506 NoObject "EExecuteError" 404
        ru "В данных защиты нет объекта \"{0}\".", "Проверьте имя объекта и загруженные данные защиты.";
        en "The protection data have no object \"{0}\".", "Check the object's name and the loaded protection data.";
    507 NotStarted "EExecuteError" 409
        ru "Серия не запущена.", "Сначала вызовите Запуск.";
        en "The series is not started.", "Call Start first.";
    508 AnchorConflict "EExecuteError" 409
        ru "{1}: корневой ключ не тот, что назван якорем доверия серии {0}.", "Проверьте якорь доверия; данные защиты упакуйте ключом этой серии.";
        en "{1}: another root key than the trust anchor of series {0} names.", "Check the trust anchor; pack protection data with the key of this series.";
    509 ForeignFile "EExecuteError" 400
        ru "{0}: файл создан другой программой.", "Упакуйте данные заново программой licenceedit.";
        en "{0}: made by another tool.", "Pack the data again with licenceedit.";
    510 ObjectDamaged "EExecuteError" 400
        ru "Объект \"{0}\" не расшифрован: {1}.", "Замените файл данных защиты целой копией.";
        en "Object \"{0}\" could not be decrypted: {1}.", "Replace the datafile by an intact copy.";
    511 FenceReached "EServerResult.ESessionNotFound" 409
        ru "Связь с сервером потеряна дольше срока аренды лицензии.", "Восстановите связь: лицензия будет получена заново.";
        en "The server has been out of reach for longer than the licence's lease.", "Restore the connection: the licence will be taken again.";
    512 ComponentPanic "EExecuteError" 500
        ru "Внутренняя ошибка компоненты.", "Сообщите разработчику журнал компоненты.";
        en "Internal error of the component.", "Send the component's log to the developer.";
    520 ArgumentCount "EExecuteError" 400
        ru "{0}: передано параметров: {1}, требуется: {2}.", "Исправьте вызов.";
        en "{0}: {1} arguments given, {2} needed.", "Correct the call.";
    521 MemberUnknown "EExecuteError" 404
        ru "У компоненты нет свойства или метода с номером {0}.", "Исправьте вызов или обновите компоненту.";
        en "The component has no property or method number {0}.", "Correct the call or update the component.";
    522 OutOfMemory "EExecuteError" 500
        ru "Платформа не выделила память для результата.", "Освободите память и повторите вызов.";
        en "The platform gave no memory for the result.", "Free some memory and repeat the call.";
    523 ParameterRefused "EExecuteError" 400
        ru "Параметр \"{0}\" серии {1} не сохранён: {2}.", "Исправьте вызов.";
        en "Parameter \"{0}\" of series {1} was not stored: {2}.", "Correct the call.";
    524 LockHeld "EExecuteError" 409
        ru "Блокировку \"{0}\" серии {1} удерживает другой сеанс.", "Повторите позже.";
        en "Lock \"{0}\" of series {1} is held by another session.", "Try again later.";
    525 LockRefused "EExecuteError" 400
        ru "Блокировка \"{0}\" серии {1} не установлена: {2}.", "Исправьте вызов.";
        en "Lock \"{0}\" of series {1} was not taken: {2}.", "Correct the call.";
    526 ManagerUnavailable "EExecuteError" 500
        ru "Менеджер объектов не записан во временный файл {0}: {1}.", "Проверьте место и права на эту папку.";
        en "The object manager was not written to the temporary file {0}: {1}.", "Check the space and the rights of that folder.";
    527 LogUnreadable "EExecuteError" 500
        ru "Журнал компоненты не прочитан: {0}.", "Проверьте права на папку журналов.";
        en "The component's log could not be read: {0}.", "Check the rights of the folder of logs.";
    530 KeyCallSlow "EExecuteError" 503
        ru "Сервер {0} не закончил за {1} с.", "Он продолжает: посмотрите на ключи или повторите тот же вызов, дважды ничего не делается.";
        en "Server {0} did not finish within {1} s.", "It goes on: look at the keys, or make the same call again; nothing is done twice.";
    540 NoDatafile "EExecuteError" 404
        ru "На сервере нет файла данных защиты {0}.", "Положите файл в папку данных сервера.";
        en "The server has no datafile {0}.", "Put the file into the server's data folder.";
    541 DatafileChanged "EExecuteError" 409
        ru "Файл данных защиты {0} заменён во время чтения.", "Повторите вызов.";
        en "Datafile {0} was replaced while it was read.", "Call again.";
    542 DatafileSlow "EExecuteError" 503
        ru "Файл данных защиты {0} не получен с сервера за отведённое время: {1} из {2} байт.", "Повторите вызов: полученное сохранено.";
        en "Datafile {0} did not come from the server in time: {1} of {2} bytes.", "Call again: what has come is kept.";
    543 TrailerBroken "EExecuteError" 500
        ru "{0}: якоря доверия в файле компоненты повреждены: {1}.", "Замените файл целой копией.";
        en "{0}: the trust anchors in the component's file are damaged: {1}.", "Replace the file by an intact copy.";
    544 BundleBroken "EFile" 400
        ru "{0}: не годится как макет компоненты: {1}.", "Соберите макет заново из целых библиотек.";
        en "{0}: no good as a template of the component: {1}.", "Make the template again of intact libraries.";

    // Files, settings, start-up.
    600 FileFailed "EFile" 500
        ru "{0}: {1}.", "Проверьте путь и права.";
        en "{0}: {1}.", "Check the path and the rights.";
    601 SettingsWrong "EConfig" 400
        ru "{0}, строка {1}: {2}.", "Исправьте файл настроек.";
        en "{0}, line {1}: {2}.", "Correct the settings file.";
    602 PortBusy "EListen" 409
        ru "Порт {0} занят{1}.", "Остановите эту программу или смените ServerPort.";
        en "Port {0} is in use{1}.", "Stop that program or change ServerPort.";
    603 StoreDamaged "EStore" 500
        ru "Хранилище {0} повреждено: {1}.", "Не удаляйте его; восстановите из копии или обратитесь к разработчику.";
        en "Store {0} is damaged: {1}.", "Do not delete it; restore it from a copy or ask the developer.";
    604 StoreOwned "EStore" 409
        ru "Хранилище {0} открыто другой программой.", "Остановите другой экземпляр.";
        en "Store {0} is open in another program.", "Stop the other instance.";
    605 StoreVersion "EStore" 409
        ru "Хранилище {0} создано более новой версией (схема {1}).", "Обновите программу.";
        en "Store {0} was made by a newer version (schema {1}).", "Update the program.";
    606 WrongPassphrase "EKeyFile" 403
        ru "{0}: неверная парольная фраза.", "Введите её ещё раз.";
        en "{0}: wrong passphrase.", "Enter it again.";
    607 CryptoFailed "ECrypto" 500
        ru "Криптографическая операция не удалась: {0}.", "Сообщите разработчику.";
        en "A cryptographic operation failed: {0}.", "Tell the developer.";
    608 NetworkStore "EStore" 409
        ru "Хранилище {0} лежит в сетевой файловой системе ({1}).", "Перенесите папку данных на локальный диск.";
        en "Store {0} is on a network file system ({1}).", "Move the data folder to a local disk.";
    609 ListenFailed "EListen" 500
        ru "Не удалось открыть {0} для приёма соединений: {1}.", "Проверьте ServerAddr, ServerPort и права.";
        en "{0} can't be opened for connections: {1}.", "Check ServerAddr, ServerPort and the rights.";
    610 FolderGone "EStore" 503
        ru "Папка данных {0} пропала у работающего сервера: {1}. Новые лицензии не выдаются, занятые места сохраняются.", "Верните её на место (подключите диск, снимите то, что смонтировано поверх), и сервер продолжит сам. Если вернуть нельзя, остановите сервер и восстановите папку из копии: licenceserver restore.";
        en "The running server has lost its data folder {0}: {1}. Nothing is granted, what is held stays held.", "Bring it back (attach the disk, unmount what covers it), and the server goes on by itself. If that can't be done, stop the server and restore a backup: licenceserver restore.";
    611 FileGone "EStore" 503
        ru "Файл {0} удалён или переименован при работающем сервере. Новые лицензии не выдаются, занятые места сохраняются.", "Верните тот же файл на место, и сервер продолжит сам. Если вернуть нельзя, остановите сервер и восстановите папку данных из копии: licenceserver restore.";
        en "{0} was removed or renamed while the server runs. Nothing is granted, what is held stays held.", "Put the same file back, and the server goes on by itself. If that can't be done, stop the server and restore a backup: licenceserver restore.";
    612 FileReplaced "EStore" 503
        ru "Файл {0} подменён при работающем сервере: {1}. Новые лицензии не выдаются, занятые места сохраняются.", "Верните прежний файл на место, и сервер продолжит сам. Если вернуть нельзя, остановите сервер и восстановите папку данных из копии: licenceserver restore.";
        en "{0} was replaced while the server runs: {1}. Nothing is granted, what is held stays held.", "Put the former file back, and the server goes on by itself. If that can't be done, stop the server and restore a backup: licenceserver restore.";
    613 FileAltered "EStore" 503
        ru "Файл {0} изменён или обрезан другой программой при работающем сервере. Новые лицензии не выдаются, занятые места сохраняются.", "Остановите сервер и проверьте хранилище: licenceserver check. Если оно повреждено, восстановите папку данных из копии: licenceserver restore.";
        en "Another program has changed or cut {0} while the server runs. Nothing is granted, what is held stays held.", "Stop the server and check its store: licenceserver check. If it is damaged, restore a backup: licenceserver restore.";
    614 FormerInForce "EStore" 500
        ru "Файл {0} испорчен при работающем сервере: {1}. Действует прежнее содержимое, новое не принимается.", "Исправьте или восстановите файл до перезапуска сервера: перезапущенный сервер прежнего содержимого не знает.";
        en "{0} was spoilt while the server runs: {1}. What it said before stays in force, nothing new is taken.", "Mend or restore the file before the server is started again: a server that was started again does not know what it said.";
    630 CertificateUnusable "EConfig" 500
        ru "Сертификат TLS не подходит: {0}.", "Проверьте [TLS] Certificate и Key: цепочка и ключ в формате PEM.";
        en "The TLS certificate can't be used: {0}.", "Check [TLS] Certificate and Key: a chain and its key in PEM.";
    631 SettingUnused "EConfig" 400
        ru "{0}, строка {1}: настройка {2} здесь не используется: {3}.", "Делать ничего не нужно; строку можно удалить.";
        en "{0}, line {1}: setting {2} is not used here: {3}.", "Nothing has to be done; the line can be removed.";
    632 SettingUnknown "EConfig" 400
        ru "{0}, строка {1}: настройки {2} нет, строка не действует.", "Проверьте имя и раздел; все настройки: licenceserver conf.";
        en "{0}, line {1}: there is no setting {2}, the line has no effect.", "Check the name and the section; licenceserver conf shows all settings.";
    633 SettingsNotInForce "EConfig" 400
        ru "Не действует так, как записано в файле настроек: {0}.", "Что не так и что действует, говорят журнал сервера и GET /api/settings.";
        en "Not in force as the settings file has it: {0}.", "What is wrong and what is in force is told by the server's log and GET /api/settings.";
    634 SettingsIncomplete "EConfig" 400
        ru "{0}: {1}. Вместо того, чего в файле больше нет, действуют прежние настройки, ограничения и пароли.", "Восстановите файл. Если нужны значения по умолчанию, оставьте в нём заголовки всех разделов: такой файл печатает licenceserver conf.";
        en "{0}: {1}. In place of what is no longer in the file the former settings, restrictions and passwords are in force.", "Restore the file. If you want the defaults, leave the headers of all sections in it: licenceserver conf prints such a file.";
    635 FileLocked "EConfig" 503
        ru "{0}: другая программа занимает файл дольше {1} с.", "Повторите; если не поможет, найдите программу, которая его держит: fuser или lsof.";
        en "{0}: another program has held this file for more than {1} s.", "Try again; if that does not help, find the program that holds it: fuser or lsof.";
    636 NotRegularFile "EFile" 400
        ru "{0}: это не обычный файл, а {1}.", "Уберите это и положите на его место файл.";
        en "{0}: not a regular file but {1}.", "Remove it and put a file in its place.";
    640 TextEncoding "EFile" 400
        ru "{0}: текст не в UTF-8 ({1}).", "Откройте файл в редакторе и сохраните его в кодировке UTF-8.";
        en "{0}: the text is not UTF-8 ({1}).", "Open the file in an editor and save it as UTF-8.";
    641 NotText "EFile" 400
        ru "{0}: это не текстовый файл.", "Проверьте, тот ли файл указан.";
        en "{0}: not a text file.", "Check that it is the right file.";
    642 OutputFailed "EFile" 500
        ru "Вывод не записан: {0}.", "Освободите место или направьте вывод в другой файл.";
        en "The output could not be written: {0}.", "Free some space or send the output to another file.";
    620 ClockBehind "EClock" 409
        ru "Часы сервера отстают: сроки ключей считаются по времени {0}.", "Установите часы; отставание срок ключей не продлевает.";
        en "The server's clock is behind: periods of keys are judged at {0}.", "Set the clock; a clock that is behind gives keys no more time.";
    621 ClockAhead "EClock" 409
        ru "Часы сервера ушли вперёд на {0} ч; это время будет запомнено через {1} ч работы.", "Если дата {2} неверна, исправьте часы до этого срока.";
        en "The server's clock went {0} h ahead; the time will be remembered after {1} h of running.", "If the date {2} is wrong, correct the clock before that.";
    622 ClockJumped "EClock" 409
        ru "Часы сервера переведены на {0} с ({1}).", "Проверьте дату и время сервера и их источник.";
        en "The server's clock was moved by {0} s ({1}).", "Check date and time of the server and where they come from.";
    623 ProcessStopped "EClock" 409
        ru "Сервер не работал {0} с (до {1}); сроки сеансов продлены.", "Если это не остановка компьютера, проверьте его загрузку.";
        en "The server stood still for {0} s (until {1}); leases were extended.", "Unless the computer was stopped, check its load.";
}

impl Code {
    pub(super) fn entry(self) -> &'static Entry {
        // The table has one row per variant, in the order of the variants: both come from one macro.
        &CATALOGUE[self as usize]
    }

    /// Number of the code: never reused, what `КодОшибки` gives to 1C code.
    pub fn number(self) -> u16 {
        self.entry().number
    }

    /// Class of the exception, as 1C code and scripts know it, without brackets.
    pub fn class(self) -> &'static str {
        self.entry().class
    }

    /// HTTP status that this error is answered with.
    pub fn status(self) -> u16 {
        self.entry().status
    }

    /// All codes, in the order of the table.
    pub fn all() -> impl Iterator<Item = Code> {
        CATALOGUE.iter().map(|entry| entry.code)
    }
}
