//! A crowd of components: connections that speak the real client protocol, and what they claim, keep and give back.
//! Every answer is decrypted and judged, after the clock has stopped: a measurement with a wrong answer in it is none.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use licence::host::clock::SystemClock;
use licence::protocol::message::{Acquire, ClientInfo, SessionData};
use licence::protocol::{CALL_PATH, CONNECT_PATH, Call, Channel, ClientHandshake, Envelope, ReplyEnvelope};
use licence::protocol::{MEDIA_TYPE, Outcome as Reply};
use licence::time::Clock;
use licence::{Code, ConnectionId, Error, SessionId};

use crate::Outcome;
use crate::install::SERIES;
use crate::load::{self, Done, Job, Measured};
use crate::wire::{Answer, Wire, request};

/// More heartbeats and claims than there is time for.
const BEATS: usize = 200_000;
const CLAIMS: usize = 90_000;

/// Connections that do the same.
pub struct Crowd {
    members: Vec<Member>,
}

/// One connection with the server.
struct Member {
    wire: Wire,
    end: End,
    /// Sessions that it holds, oldest first.
    held: VecDeque<SessionId>,
}

/// What one connection was answered, in the order of its calls.
type Replies = Vec<Result<Reply, Error>>;

/// What a member keeps while its wire is at work.
type Rest = (End, VecDeque<SessionId>);

/// The client's end of a channel.
struct End {
    channel: Channel,
    connection: ConnectionId,
    calls: u64,
}

impl End {
    /// A call as a whole request.
    fn request(&mut self, call: Call) -> Outcome<Vec<u8>> {
        self.calls += 1;
        let message = serde_json::to_vec(&Envelope { id: self.calls, call })?;
        let body = [&self.connection.0[..], &self.channel.seal(&message)?].concat();
        Ok(request("POST", CALL_PATH, &format!("Content-Type: {MEDIA_TYPE}\r\n"), &body))
    }

    fn reply(&self, answer: &Answer) -> Outcome<Result<Reply, Error>> {
        if answer.status != 200 {
            return Err(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into());
        }
        let reply: ReplyEnvelope = serde_json::from_slice(&self.channel.open(&answer.body)?)?;
        Ok(reply.result)
    }
}

impl Member {
    async fn join(to: SocketAddr, from: Option<IpAddr>) -> Outcome<Member> {
        let mut wire = Wire::open(to, from).await?;
        let (handshake, offer) = ClientHandshake::start(SERIES, None)?;
        let offer = request("POST", CONNECT_PATH, &format!("Content-Type: {MEDIA_TYPE}\r\n"), &offer);
        let answer = wire.exchange(&offer).await?;
        if answer.status != 200 {
            return Err(format!("handshake: {}: {}", answer.status, String::from_utf8_lossy(&answer.body)).into());
        }
        let established = handshake.finish(&answer.body)?;
        let mut end = End { channel: established.channel, connection: established.connection, calls: 0 };
        let info = ClientInfo {
            version: licence::version::VERSION.into(),
            os_version: "Linux".into(),
            computer_name: "bench".into(),
            local_ip: "127.0.0.1".into(),
            process: "rphost".into(),
            is_server: true,
            platform_version: "8.3.27.1000".into(),
            ..ClientInfo::default()
        };
        let open = end.request(Call::Open(Box::new(info)))?;
        let answer = wire.exchange(&open).await?;
        end.reply(&answer)??;
        Ok(Member { wire, end, held: VecDeque::new() })
    }
}

fn all_alive(replies: Vec<Replies>) -> Outcome {
    let fine = |reply: &Result<Reply, Error>| matches!(reply, Ok(Reply::Alive(alive)) if alive.lost.is_empty());
    match replies.into_iter().flatten().find(|reply| !fine(reply)) {
        Some(reply) => Err(format!("to a heartbeat: {reply:?}").into()),
        None => Ok(()),
    }
}

/// A session that nobody has claimed before: each takes a seat of its own.
fn new_session() -> Call {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Call::Acquire(Box::new(Acquire {
        session: SessionData {
            session_number: number.to_string(),
            session_started: Some(SystemClock.now().wall),
            user_name: "Иванов Иван Иванович".into(),
            app_name: "1CV8C".into(),
            computer_name: "WORKPLACE-17".into(),
            info_base_connection_string: r#"Srvr="server1c";Ref="accounting";"#.into(),
            is_server: Some(true),
            ..SessionData::default()
        },
        ..Acquire::default()
    }))
}

impl Crowd {
    /// Connects so many components.
    pub async fn gather(to: SocketAddr, count: usize) -> Outcome<Crowd> {
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            members.push(Member::join(to, None).await?);
        }
        Ok(Crowd { members })
    }

    /// Connects so many components of many computers, until the server takes no more; gives how many it refused.
    pub async fn gather_all(to: SocketAddr, count: usize) -> Outcome<(Crowd, usize)> {
        let mut members = Vec::with_capacity(count);
        while members.len() < count {
            // A server bounds the connections of one address.
            let from = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + members.len() % 50)?);
            match Member::join(to, Some(from.into())).await {
                Ok(member) => members.push(member),
                Err(error) if members.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        let refused = count - members.len();
        Ok((Crowd { members }, refused))
    }

    /// New sessions take a licence until `total` have or the time is over; all must get one.
    pub async fn claim(&mut self, total: usize, limit: Duration) -> Outcome<Measured> {
        let share = self.share(total);
        let (measured, replies) = self.ask(&share, limit, |_| new_session()).await?;
        self.take(replies)?;
        Ok(measured)
    }

    /// These heartbeats and those claims at the same time.
    pub async fn beat_beside(&mut self, claimants: &mut Crowd, limit: Duration) -> Outcome<(Measured, Measured)> {
        let (beats, beating) = self.prepare(&self.share(BEATS), |_| Call::Heartbeat)?;
        let (claims, claiming) = claimants.prepare(&claimants.share(CLAIMS), |_| new_session())?;
        let (beats, claims) = tokio::join!(load::run(beats, limit), load::run(claims, limit));
        let ((beats, beaten), (claims, claimed)) = (beats?, claims?);
        let alive = self.judge(beaten, beating)?;
        all_alive(alive)?;
        let granted = claimants.judge(claimed, claiming)?;
        claimants.take(granted)?;
        Ok((beats, claims))
    }

    /// Keeps what was granted to everybody.
    fn take(&mut self, replies: Vec<Replies>) -> Outcome {
        for (member, replies) in self.members.iter_mut().zip(replies) {
            for reply in replies {
                match reply? {
                    Reply::Granted(granted) => member.held.push_back(granted.session),
                    other => return Err(format!("to a claim: {other:?}").into()),
                }
            }
        }
        Ok(())
    }

    /// New sessions ask a full pool; all must be refused.
    pub async fn be_refused(&mut self, total: usize, limit: Duration) -> Outcome<Measured> {
        let share = self.share(total);
        let (measured, replies) = self.ask(&share, limit, |_| new_session()).await?;
        match replies.into_iter().flatten().find(|reply| !matches!(reply, Err(error) if error.code == Code::AllTaken)) {
            Some(reply) => Err(format!("a full pool answered {reply:?}").into()),
            None => Ok(measured),
        }
    }

    /// Heartbeats; no session may have been lost.
    pub async fn beat(&mut self, total: usize, limit: Duration) -> Outcome<Measured> {
        let share = self.share(total);
        let (measured, replies) = self.ask(&share, limit, |_| Call::Heartbeat).await?;
        all_alive(replies)?;
        Ok(measured)
    }

    /// All sessions are given back.
    pub async fn release(&mut self) -> Outcome<Measured> {
        let share: Vec<usize> = self.members.iter().map(|member| member.held.len()).collect();
        let unknown = SessionId([0; 16]);
        let call = |held: &mut VecDeque<SessionId>| Call::Release { session: held.pop_front().unwrap_or(unknown) };
        let (measured, replies) = self.ask(&share, Duration::MAX / 4, call).await?;
        match replies.into_iter().flatten().find(|reply| !matches!(reply, Ok(Reply::Done))) {
            Some(reply) => Err(format!("to a release: {reply:?}").into()),
            None => Ok(measured),
        }
    }

    /// How many of the connections are still open; the rest were closed by the server.
    pub fn open(&self) -> usize {
        self.members.iter().filter(|member| !member.wire.is_closed()).count()
    }

    fn share(&self, total: usize) -> Vec<usize> {
        let count = self.members.len();
        (0..count).map(|place| total / count + usize::from(place < total % count)).collect()
    }

    /// Everybody makes as many calls as `share` says, or as there is time for.
    async fn ask(
        &mut self,
        share: &[usize],
        limit: Duration,
        call: impl Fn(&mut VecDeque<SessionId>) -> Call,
    ) -> Outcome<(Measured, Vec<Replies>)> {
        let (jobs, rest) = self.prepare(share, call)?;
        let (measured, done) = load::run(jobs, limit).await?;
        Ok((measured, self.judge(done, rest)?))
    }

    /// The requests of everybody, who is away until [`Crowd::judge`].
    fn prepare(
        &mut self,
        share: &[usize],
        call: impl Fn(&mut VecDeque<SessionId>) -> Call,
    ) -> Outcome<(Vec<Job>, Vec<Rest>)> {
        let mut jobs = Vec::with_capacity(self.members.len());
        let mut rest = Vec::with_capacity(self.members.len());
        for (Member { wire, mut end, mut held }, count) in std::mem::take(&mut self.members).into_iter().zip(share) {
            let requests = (0..*count).map(|_| end.request(call(&mut held))).collect::<Outcome<_>>()?;
            jobs.push(Job { wire, requests });
            rest.push((end, held));
        }
        Ok((jobs, rest))
    }

    /// What everybody was answered.
    fn judge(&mut self, done: Vec<Done>, rest: Vec<Rest>) -> Outcome<Vec<Replies>> {
        let mut replies = Vec::with_capacity(done.len());
        for (done, (end, held)) in done.into_iter().zip(rest) {
            replies.push(done.answers.iter().map(|answer| end.reply(answer)).collect::<Outcome<_>>()?);
            self.members.push(Member { wire: done.wire, end, held });
        }
        Ok(replies)
    }
}
