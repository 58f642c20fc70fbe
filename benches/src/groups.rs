//! What is measured, in groups that can be run alone. What is compared is measured close together, so that a slow moment of the
//! machine falls on both.

use std::time::Duration;

use crate::bare::{Bare, commits};
use crate::centre::Centre;
use crate::counted::Counted;
use crate::crowd::Crowd;
use crate::install::{Installation, Server};
use crate::objects;
use crate::report::{Report, median};
use crate::rest::Callers;
use crate::siege::{self, Besiegers};
use crate::signing;
use crate::{Outcome, Plan};

/// Numbers of connections.
const LEVELS: [usize; 4] = [1, 8, 64, 256];
/// Connections where only one number of them is tried.
const USUAL: usize = 64;
/// More calls than there is time for.
const MANY: usize = 200_000;
/// Enough time for what must be done to its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A group of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The client protocol at 1 to 256 connections, beside bare commits and a bare handler.
    Client,
    /// Heartbeats while others claim.
    Claiming,
    /// Pools of 2 000 to 100 000 licences.
    Pools,
    /// `POST /api/sessions`.
    Rest,
    /// Signed answers beside signatures alone.
    Signed,
    /// Activations at the centre beside signatures alone.
    Centre,
    /// A grant beside few and many held seats.
    Cost,
    /// Memory of 10 000 connections.
    Connections,
    /// Memory of 100 000 sessions, and a restart with them.
    Sessions,
    /// Fresh requests among thousands of slow and idle clients.
    Siege,
    /// A protected object of 10 MB, beside the bare cipher.
    Objects,
}

const GROUPS: [(&str, Group); 11] = [
    ("client", Group::Client),
    ("claiming", Group::Claiming),
    ("pools", Group::Pools),
    ("rest", Group::Rest),
    ("signed", Group::Signed),
    ("centre", Group::Centre),
    ("cost", Group::Cost),
    ("connections", Group::Connections),
    ("sessions", Group::Sessions),
    ("siege", Group::Siege),
    ("objects", Group::Objects),
];

impl Group {
    /// The groups of these names, all without any.
    pub fn named(names: &[String]) -> Outcome<Vec<Group>> {
        if names.is_empty() {
            return Ok(GROUPS.map(|(_, group)| group).to_vec());
        }
        let known = GROUPS.map(|(name, _)| name).join(", ");
        let find = |name: &String| GROUPS.iter().find(|(known, _)| known == name).map(|(_, group)| *group);
        let groups = names.iter().map(|name| find(name).ok_or_else(|| format!("no group {name}; there are: {known}")));
        Ok(groups.collect::<Result<_, _>>()?)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        GROUPS.iter().find(|(_, group)| *group == self).map_or("", |(name, _)| name)
    }

    /// Measures it.
    pub async fn measure(self, plan: Plan, report: &mut Report) -> Outcome {
        match self {
            Group::Client => client(plan, report).await,
            Group::Claiming => claiming(plan, report).await,
            Group::Pools => pools(plan, report).await,
            Group::Rest => rest(plan, report).await,
            Group::Signed => signed(plan, report).await,
            Group::Centre => centre(plan, report).await,
            Group::Cost => cost(plan, report).await,
            Group::Connections => connections(report).await,
            Group::Sessions => sessions(plan, report).await,
            Group::Siege => siege(plan, report).await,
            Group::Objects => protected_objects(report),
        }
    }
}

async fn client(plan: Plan, report: &mut Report) -> Outcome {
    const POOL: usize = 20_000;
    let (roomy, full) = (Installation::new(POOL as u32)?, Installation::new(100)?);
    let (server, refusing, bare) = (roomy.start().await?, full.start().await?, Bare::start()?);
    fill(&refusing, 100).await?;
    warm_up(&server, &bare).await?;
    for count in LEVELS {
        report.measured("commits", &commits(plan.span / 3)?);
        let mut crowd = Crowd::gather(server.address, count).await?;
        let before = server.process.busy();
        let grants = crowd.claim(POOL, plan.span).await?;
        report.measured(&format!("grants.{count}"), &grants);
        report.processor(&format!("grants.{count}"), before, server.process.busy(), grants.count);
        report.measured("commits", &commits(plan.span / 3)?);
        let before = bare.busy();
        let answers = bare.measure(count, plan.span / 2).await?;
        report.measured(&format!("bare.{count}"), &answers);
        report.processor(&format!("bare.{count}"), before, bare.busy(), answers.count);
        let before = server.process.busy();
        let beats = crowd.beat(MANY, plan.span).await?;
        report.measured(&format!("heartbeats.{count}"), &beats);
        report.processor(&format!("heartbeats.{count}"), before, server.process.busy(), beats.count);
        report.measured(&format!("bare.{count}"), &bare.measure(count, plan.span / 2).await?);
        report.measured(&format!("releases.{count}"), &crowd.release().await?);
        let mut late = Crowd::gather(refusing.address, count).await?;
        report.measured(&format!("refusals.{count}"), &late.be_refused(MANY, plan.span).await?);
    }
    Ok(())
}

async fn warm_up(server: &Server, bare: &Bare) -> Outcome {
    let mut crowd = Crowd::gather(server.address, USUAL).await?;
    crowd.claim(USUAL * 4, PATIENCE).await?;
    crowd.beat(USUAL * 50, PATIENCE).await?;
    crowd.release().await?;
    bare.measure(USUAL, Duration::from_millis(200)).await?;
    Ok(())
}

/// Takes so many seats, which are held on: by connections that have gone.
async fn fill(server: &Server, seats: usize) -> Outcome {
    Crowd::gather(server.address, USUAL).await?.claim(seats, PATIENCE).await?;
    match server.used().await? {
        (used, _) if used == seats as u64 => Ok(()),
        (used, _) => Err(format!("{used} seats are taken in place of {seats}").into()),
    }
}

async fn claiming(plan: Plan, report: &mut Report) -> Outcome {
    let installation = Installation::new(100_000)?;
    let (server, bare) = (installation.start().await?, Bare::start()?);
    warm_up(&server, &bare).await?;
    for _ in 0..plan.repeats {
        report.measured("claiming.bare", &bare.measure(USUAL, plan.span / 2).await?);
        let mut holders = Crowd::gather(server.address, USUAL).await?;
        let mut claimants = Crowd::gather(server.address, 256).await?;
        holders.claim(USUAL, PATIENCE).await?;
        let (beats, grants) = holders.beat_beside(&mut claimants, plan.span).await?;
        report.measured("claiming.heartbeats", &beats);
        report.measured("claiming.grants", &grants);
        holders.release().await?;
        claimants.release().await?;
    }
    Ok(())
}

async fn pools(plan: Plan, report: &mut Report) -> Outcome {
    for seats in [2_000, 20_000, 100_000] {
        let installation = Installation::new(seats)?;
        let server = installation.start().await?;
        let mut crowd = Crowd::gather(server.address, USUAL).await?;
        report.measured(&format!("pool.{seats}.grants"), &crowd.claim(seats as usize, PATIENCE).await?);
        report.measured(&format!("pool.{seats}.heartbeats"), &crowd.beat(MANY, plan.span / 2).await?);
        report.measured(&format!("pool.{seats}.refusals"), &crowd.be_refused(MANY, plan.span / 2).await?);
        report.measured(&format!("pool.{seats}.releases"), &crowd.release().await?);
    }
    Ok(())
}

async fn rest(plan: Plan, report: &mut Report) -> Outcome {
    let (roomy, full) = (Installation::new(100_000)?, Installation::new(100)?);
    let (server, refusing) = (roomy.start().await?, full.start().await?);
    fill(&refusing, 100).await?;
    for count in LEVELS {
        let mut callers = Callers::gather(server.address, count).await?;
        report.measured(&format!("rest.grants.{count}"), &callers.claim(20_000, plan.span).await?);
        report.measured(&format!("rest.renewals.{count}"), &callers.renew(20_000, plan.span).await?);
        let mut late = Callers::gather(refusing.address, count).await?;
        report.measured(&format!("rest.refusals.{count}"), &late.be_refused(20_000, plan.span).await?);
    }
    Ok(())
}

async fn signed(plan: Plan, report: &mut Report) -> Outcome {
    let installation = Installation::new(100)?;
    let server = installation.start().await?;
    // A password that was verified once is known to the rest; of many first ones at once some would be put off.
    Callers::gather(server.address, 1).await?.read(1, PATIENCE).await?;
    let mut callers = Callers::gather(server.address, USUAL).await?;
    callers.read(USUAL * 4, PATIENCE).await?;
    let signer = signing::response_signer(&installation)?;
    for _ in 0..plan.repeats {
        report.measured("signed.plain", &signing::plain(signer.as_ref(), plan.span / 2)?);
        report.measured("signed.answers", &callers.read(MANY, plan.span).await?);
    }
    Ok(())
}

async fn centre(plan: Plan, report: &mut Report) -> Outcome {
    /// More codes than there is time for.
    const CODES: usize = 10_000;
    let centre = Centre::new()?;
    let process = centre.start()?;
    let signer = signing::issuing_signer()?;
    centre.activate(&process, (USUAL, USUAL * 4), PATIENCE).await?;
    for _ in 0..plan.repeats {
        report.measured("commits", &commits(plan.span / 3)?);
        report.measured("centre.signatures", &signing::plain(signer.as_ref(), plan.span / 2)?);
        let before = process.busy();
        let activations = centre.activate(&process, (USUAL, CODES), plan.span).await?;
        report.measured("centre.activations", &activations);
        report.processor("centre.activations", before, process.busy(), activations.count);
    }
    Ok(())
}

async fn cost(plan: Plan, report: &mut Report) -> Outcome {
    const GRANTS: usize = 4_000;
    let installations = [Installation::new(110_000)?, Installation::new(110_000)?];
    let held = [100, 100_000];
    let servers = [installations[0].start().await?, installations[1].start().await?];
    for (server, held) in servers.iter().zip(held) {
        fill(server, held).await?;
    }
    let mut times = [Vec::new(), Vec::new()];
    let mut busy = [Vec::new(), Vec::new()];
    let mut written = [Vec::new(), Vec::new()];
    // One round more than is counted, to warm up.
    for round in 0..=plan.repeats {
        for (place, server) in servers.iter().enumerate() {
            let mut crowd = Crowd::gather(server.address, USUAL).await?;
            let before = (server.process.busy(), server.process.written());
            let measured = crowd.claim(GRANTS, PATIENCE).await?;
            let after = (server.process.busy(), server.process.written());
            crowd.release().await?;
            if round == 0 {
                continue;
            }
            times[place].push(measured.elapsed.as_secs_f64() * 1e6 / GRANTS as f64);
            if let (Some(before), Some(after)) = (before.0, after.0) {
                busy[place].push(after.saturating_sub(before).as_secs_f64() * 1e6 / GRANTS as f64);
            }
            if let (Some(before), Some(after)) = (before.1, after.1) {
                written[place].push((after - before) / 1e3 / GRANTS as f64);
            }
        }
    }
    for (place, held) in held.into_iter().enumerate() {
        let mut add = |what: &str, values: &mut Vec<f64>, unit| {
            if let Some(value) = median(std::mem::take(values)) {
                report.add(format!("cost.{held}.{what}"), value, unit);
            }
        };
        add("grant", &mut times[place], "µs");
        add("processor", &mut busy[place], "µs");
        add("written", &mut written[place], "kB");
    }
    drop(servers);
    if !Counted::is_possible() {
        println!("  instructions are not counted: valgrind is not installed");
        return Ok(());
    }
    for (installation, held) in installations.iter().zip(held) {
        instructions(plan, report, installation, held).await?;
    }
    Ok(())
}

/// Instructions of a grant beside so many held seats, which the installation has.
async fn instructions(plan: Plan, report: &mut Report, installation: &Installation, held: usize) -> Outcome {
    const GRANTS: usize = 1_000;
    let counted = Counted::start(installation).await?;
    // One round more than is counted, to warm up.
    for round in 0..=plan.repeats {
        let mut crowd = Crowd::gather(counted.server.address, USUAL).await?;
        let claim = async { crowd.claim(GRANTS, PATIENCE).await.map(drop) };
        let executed = counted.count(claim).await?;
        crowd.release().await?;
        if round > 0 {
            report.add(format!("cost.{held}.instructions"), executed / 1e3 / GRANTS as f64, "thousands");
        }
    }
    Ok(())
}

async fn connections(report: &mut Report) -> Outcome {
    const COUNT: usize = 10_000;
    let installation = Installation::new(100)?;
    let server = installation.start().await?;
    let before = server.process.resident();
    let (crowd, refused) = Crowd::gather_all(server.address, COUNT).await?;
    report.add("connections.open", crowd.open() as f64, "");
    report.add("connections.refused", refused as f64, "");
    if let (Some(before), Some(after)) = (before, server.process.resident()) {
        report.add("connections.resident", after, "MB");
        report.add("connections.each", (after - before) * 1e3 / crowd.open().max(1) as f64, "kB");
    }
    Ok(())
}

async fn sessions(plan: Plan, report: &mut Report) -> Outcome {
    const COUNT: usize = 100_000;
    let installation = Installation::new(COUNT as u32)?;
    let mut server = installation.start().await?;
    report.add("sessions.empty.start", server.start.as_secs_f64(), "s");
    if let Some(resident) = server.process.resident() {
        report.add("sessions.empty.resident", resident, "MB");
    }
    fill(&server, COUNT).await?;
    if let Some(resident) = server.process.resident() {
        report.add("sessions.resident", resident, "MB");
    }
    for _ in 0..plan.repeats {
        server.process.kill()?;
        server = installation.start().await?;
        match server.used().await? {
            (used, _) if used == COUNT as u64 => report.add("sessions.start", server.start.as_secs_f64(), "s"),
            (used, _) => return Err(format!("{used} of {COUNT} sessions came back").into()),
        }
    }
    if let Some(resident) = server.process.resident() {
        report.add("sessions.restarted", resident, "MB");
    }
    Ok(())
}

async fn siege(plan: Plan, report: &mut Report) -> Outcome {
    let installation = Installation::with_settings(100, siege::SETTINGS)?;
    let server = installation.start().await?;
    siege::fresh(server.address, plan.span / 4).await?;
    report.measured("siege.before", &siege::fresh(server.address, plan.span).await?);
    let besiegers = Besiegers::gather(server.address).await?;
    for _ in 0..plan.repeats {
        report.measured("siege.fresh", &siege::fresh(server.address, plan.span).await?);
    }
    report.add("siege.besiegers", besiegers.left() as f64, "");
    if let Some(resident) = server.process.resident() {
        report.add("siege.resident", resident, "MB");
    }
    Ok(())
}

fn protected_objects(report: &mut Report) -> Outcome {
    const SIZE: usize = 10_000_000;
    let times = objects::measure(SIZE)?;
    for (name, times) in [
        ("objects.cipher", times.cipher),
        ("objects.open", times.open),
        ("objects.cipher_anew", times.cipher_anew),
        ("objects.open_anew", times.open_anew),
    ] {
        report.add(name, median(times).unwrap_or_default(), "ms");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_name() {
        assert_eq!(Group::named(&[]).unwrap().len(), GROUPS.len());
        assert_eq!(Group::named(&["cost".into()]).unwrap(), [Group::Cost]);
        assert!(Group::named(&["nothing".into()]).is_err());
        assert_eq!(Group::Pools.name(), "pools");
    }
}
