//! Activation: a code goes to the vendor's centre and comes back as a licence for this server. Calls to the centre run on
//! threads of their own, and a code is never asked for twice at once.

use std::collections::HashSet;
use std::time::Duration;

use licence::activation::{self as messages, Answer, Granted, Purpose, Request, Want};
use licence::api::{Activate, Digits, LicenceInfo};
use licence::code::ActivationCode;
use licence::error::{Code, Error, Lang, Result};
use licence::id::Bytes32;
use licence::settings::ServerSettings;
use licence::version::VERSION;
use parking_lot::Mutex;
use web::Crew;

use crate::Core;
use crate::queue::hand_over;

const THREADS: usize = 2;
const QUEUE: usize = 16;
const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(60);
/// Largest answer of a centre, in bytes.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// The calls to centres.
pub struct Activations {
    crew: Crew,
    running: Mutex<HashSet<ActivationCode>>,
}

/// A code that is being activated; no other request activates it until this is dropped.
struct Running<'a> {
    activations: &'a Activations,
    code: ActivationCode,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.activations.running.lock().remove(&self.code);
    }
}

/// What is to be activated, checked as far as this computer can.
pub struct Order {
    code: ActivationCode,
    itn: Option<String>,
    iec: Option<String>,
    blank_key_no: Option<licence::KeyNo>,
    centre: String,
    use_proxy: bool,
}

impl Activations {
    /// Threads for calls.
    pub fn new() -> Result<Activations> {
        let crew = Crew::new("activation", THREADS, QUEUE).map_err(|e| Error::new(Code::Internal).with(e))?;
        Ok(Activations { crew, running: Mutex::default() })
    }

    /// Runs `job` with `load` on those threads; an error with the load when too many wait.
    pub fn run<T: Send + 'static>(&self, load: T, job: impl FnOnce(T) + Send + 'static) -> Result<(), (Error, T)> {
        hand_over(&self.crew, load, job)
    }

    fn start(&self, code: ActivationCode) -> Result<Running<'_>> {
        if self.running.lock().insert(code) { Ok(Running { activations: self, code }) } else { Err(Code::Busy.into()) }
    }
}

impl Order {
    /// Reads what an administrator has typed.
    pub fn new(body: &Activate, settings: &ServerSettings) -> Result<Order> {
        let code = body.activation_code_string.parse()?;
        let digits = |name: &str, value: &Option<Digits>| match value.as_ref().map(|value| value.text().ok_or(value)) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(Err(_)) => Err(Error::new(Code::BadRequest)
                .with_text(format_args!("{name}: допустимы только цифры"), format_args!("{name}: digits only"))),
        };
        Ok(Order {
            code,
            itn: digits("ITN", &body.itn)?,
            iec: digits("IEC", &body.iec)?,
            blank_key_no: body.blank_key_no,
            centre: settings.centre.clone().ok_or(Code::CentreNotSet)?,
            use_proxy: settings.centre_proxy,
        })
    }
}

/// Activates a code: asks the centre, checks its answer, stores the licence, puts it to use. The fields of the new key. May
/// take a minute; a code whose answer was lost gives the same key again.
pub fn activate(core: &Core, order: Order, lang: Lang) -> Result<LicenceInfo> {
    let _running = core.activations.start(order.code)?;
    if let Some(carrier) = order.blank_key_no
        && !core.keys.has_carrier(carrier)
    {
        return Err(Error::new(Code::CarrierMissing).with(carrier));
    }
    let signing = core.signing.as_ref();
    let signing = signing.ok_or_else(|| Error::new(Code::NotImplemented).with(crate::api::LICENCES))?;
    let identity = core.keys.identity();
    let request = Request {
        nonce: Bytes32(core.crypto.random_array()?),
        made: core.timekeeper.now(),
        identity: identity.public(),
        fingerprint: core.keys.fingerprint(),
        computer_id: core.computer_id,
        api_key: signing.public_key().to_vec(),
        version: VERSION.into(),
        installed: core.keys.installed(),
        purpose: Purpose::Activate(messages::Activate {
            want: Want::Code(order.code),
            itn: order.itn,
            iec: order.iec,
            blank_key_no: order.blank_key_no,
        }),
    };
    let text = request.sign(core.crypto, identity)?;
    log::info!("activation of {:?}: asking {}", order.code, order.centre);
    let answer = ask(&order.centre, order.use_proxy, text)?;
    let received = Answer::read(core.crypto, "answer", &answer)?;
    let Granted::Activated { key, api_certificate: certificate, .. } =
        received.accept(core.crypto, &request, identity)?
    else {
        return Err(Error::new(Code::CentreAnswerWrong).with("no licence"));
    };
    log::info!("activation of {:?}: {} KeyNo {}", order.code, key.licence.key_id, key.licence.key_no);
    let now = core.timekeeper.now();
    core.change_keys(|keys| keys.install(&key, &certificate, now))?;
    // A key that these rules make unusable is kept all the same: it is paid for, and its fields say what is missing.
    let info = core.keys.info_in(&key.series, key.licence.key_no, now, lang);
    info.ok_or_else(|| Error::new(Code::Internal).with("the new licence was not found in the data folder"))
}

/// Sends the signed request to the centre.
fn ask(centre: &str, use_proxy: bool, text: String) -> Result<String> {
    let unreachable = |cause: &dyn std::fmt::Display| Error::new(Code::CentreUnreachable).with(cause);
    let mut config = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(WHOLE))
        // A redirect could lead the request, and with it the code, to anybody.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(format!("licenceserver/{VERSION}"));
    if !use_proxy {
        config = config.proxy(None);
    }
    let agent = ureq::Agent::new_with_config(config.build());
    let sent = agent
        .post(format!("{centre}/api/requests"))
        .header("Content-Type", "text/plain; charset=utf-8")
        .header("Accept-Language", "en")
        .send(text);
    let mut response = sent.map_err(|e| unreachable(&e))?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(|e| unreachable(&e))?;
    if status == 200 {
        return Ok(body);
    }
    let refusal: Option<Error> = serde_json::from_str::<serde_json::Value>(&body)
        .ok()
        .and_then(|mut refusal| serde_json::from_value(refusal.get_mut("Error")?.take()).ok());
    Err(refusal.unwrap_or_else(|| unreachable(&format_args!("HTTP {status}"))))
}
