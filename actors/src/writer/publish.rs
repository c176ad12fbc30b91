//! The thread that tells of commits: who asked, whose carriers have work, who follows a log.
//!
//! It waits for the disk first, while the writer is about its next transactions; what was committed
//! meanwhile shares the next wait. When the disk fails, nothing is told of what may not be on it: who
//! asked hears that nothing is known, and the writer's life ends.

use std::collections::HashMap;
use std::sync::Arc;

use metrics::{Histogram, histogram};
use model::carrier::{CarrierId, MessageKey, OrgId};
use model::submission::Submission;
use ractor::{ActorProcessingErr, ActorRef};
use store::lane::{Accepted, AdminDone, CancelFate, Done, Fate, Fire, FireFate, OutboxRef, Work};
use store::{Disk, StoreError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::commit::LastWord;
use super::pieces::{Share, take};
use super::{Reply, Shared, Then, Turn, WriterArgs, WriterMsg};
use crate::directory::{Directory, Taken};
use crate::gate::Permit;
use crate::smpp::job::Job;
use crate::smpp::owner::OwnerMsg;

/// So many commits wait for the thread; the writer waits before it commits more. What is stored is then
/// never far ahead of what is told, and commits stay large.
const AHEAD: usize = 1;

/// What is to be told of a commit.
pub(super) struct News {
    pub(super) disk: Disk,
    /// Whose log has grown.
    pub(super) touched: Vec<OrgId>,
    pub(super) work: Work,
    pub(super) done: Done,
    pub(super) taken: Vec<Taken>,
    pub(super) replies: Vec<(Reply, usize, Permit)>,
    pub(super) thens: Vec<(Share, Then)>,
}

struct Publisher {
    writer: ActorRef<WriterMsg>,
    shared: Arc<Shared>,
    carriers: Directory,
    askers: Handle,
    sync: Histogram,
    /// The next life waits until what this one stored is told.
    _turn: Arc<Turn>,
}

/// Starts the thread; it ends once the sender is dropped and all is told, or the disk fails.
pub(super) fn start(
    args: &WriterArgs,
    writer: &ActorRef<WriterMsg>,
    turn: Arc<Turn>,
) -> Result<mpsc::Sender<News>, ActorProcessingErr> {
    let (news, told) = mpsc::channel(AHEAD);
    let publisher = Publisher {
        writer: writer.clone(),
        shared: args.shared.clone(),
        carriers: args.carriers.clone(),
        askers: Handle::current(),
        sync: histogram!("orbit_sync_seconds"),
        _turn: turn,
    };
    std::thread::Builder::new().name(String::from("orbit-teller")).spawn(move || {
        let _last_word = LastWord(publisher.writer.clone());
        let _askers = publisher.askers.clone().enter();
        publisher.run(told);
    })?;
    Ok(news)
}

impl Publisher {
    fn run(self, mut told: mpsc::Receiver<News>) {
        let mut all = Vec::new();
        while told.blocking_recv_many(&mut all, AHEAD + 1) > 0 {
            if let Err(error) = self.reach(&all) {
                tracing::error!(%error, "the disk failed; what was just written may be lost");
                self.shared.set_down(true);
                let _ = self.writer.send_message(WriterMsg::Away);
                let _ = self.writer.send_message(WriterMsg::Broken(error.to_string()));
                return;
            }
            for news in all.drain(..) {
                self.tell(news);
            }
        }
    }

    /// Waits until all of it is on the disk.
    fn reach(&self, all: &[News]) -> Result<(), StoreError> {
        let started = Instant::now();
        for (at, news) in all.iter().enumerate() {
            // One wait is for all that were before it, but for those of another connection.
            if all.get(at + 1).is_none_or(|next| !next.disk.is(&news.disk)) {
                news.disk.reach()?;
            }
        }
        self.sync.record(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn tell(&self, news: News) {
        let News { touched, work, mut done, taken, replies, thens, .. } = news;
        let wakes = self.shared.wakes();
        wakes.committed(&touched);
        wakes.owed(&done.owed);
        self.announce(work, &done, taken);
        let mut answers = std::mem::take(&mut done.accepts).into_iter();
        // Answered from a worker of the askers' runtime: waking each from here costs a system call.
        self.askers.spawn(async move {
            for (reply, count, _permit) in replies {
                match reply {
                    Reply::One(reply) => {
                        // A missing answer closes the channel, which says as much.
                        if let Some(answer) = answers.next() {
                            let _ = reply.send(answer);
                        }
                    }
                    Reply::All(all) => all.give(answers.by_ref().take(count).collect()),
                }
            }
        });
        for (share, then) in thens {
            (then.0)(take(&mut done, &share));
        }
    }

    /// Gives the owners what was accepted for them, text and all, so that they need not read it.
    fn announce(&self, work: Work, done: &Done, taken: Vec<Taken>) {
        let mut jobs: HashMap<CarrierId, Vec<Job>> = HashMap::new();
        let mut intended: HashMap<CarrierId, Vec<Job>> = HashMap::new();
        for (submission, answer) in work.accepts.into_iter().zip(&done.accepts) {
            let Ok(Accepted::Fresh { at, first, refused, later, picked }) = answer else {
                continue;
            };
            let Submission { organization, messages, .. } = submission.settled(picked);
            let queued = messages.len() - refused.len() - later.len();
            self.shared.add_backlog(organization, i64::try_from(queued).unwrap_or(0));
            let let_in = messages.into_iter().enumerate();
            let let_in = let_in.filter(|(at, _)| !refused.iter().any(|(index, _)| index == at));
            for ((index, message), key) in let_in.zip(first.0..) {
                if later.iter().any(|(at, _)| *at == index) {
                    continue;
                }
                let carrier = message.carrier;
                let job = Job::accepted(MessageKey(key), organization, message, *at);
                let claimed = done.intended.binary_search(&job.key).is_ok();
                let jobs = if claimed { &mut intended } else { &mut jobs };
                jobs.entry(carrier).or_default().push(job);
            }
        }
        self.announce_fired(work.fires, done, &mut jobs);
        for (result, fate) in work.results.iter().zip(&done.results) {
            if *fate == Fate::Closed {
                self.shared.add_backlog(result.row.organization, -1);
            }
        }
        for organization in &done.blocked {
            self.shared.add_backlog(*organization, -1);
        }
        if done.replies_due {
            self.shared.replies_due();
        }
        for (carrier, mut jobs) in jobs {
            if let Some(owner) = self.carriers.find(carrier) {
                // A batch fed in halves has numbered its fires and accepts in turn.
                jobs.sort_by_key(|job| job.place);
                let _ = owner.send_message(OwnerMsg::Announced(jobs));
            }
        }
        // After the above: an owner takes what passed by its line for the end of the line.
        for mut taken in taken {
            if let Some(jobs) = intended.remove(&taken.grant.carrier) {
                taken.use_up(jobs.iter().map(|job| usize::from(job.segments)).sum());
                let _ = taken.owner().send_message(OwnerMsg::Intended(jobs));
            }
        }
        self.announce_cancelled(done);
    }

    fn announce_fired(
        &self,
        fires: Vec<Fire>,
        done: &Done,
        jobs: &mut HashMap<CarrierId, Vec<Job>>,
    ) {
        for (fire, fate) in fires.into_iter().zip(&done.fires) {
            let FireFate::Queued { place, pick } = fate else { continue };
            let fire = fire.settled(pick.as_ref());
            let (organization, message) = (fire.organization, fire.message.as_ref());
            let Some(carrier) = message.ok().map(|message| message.carrier) else { continue };
            self.shared.add_backlog(organization, 1);
            jobs.entry(carrier).or_default().extend(Job::fired(fire, *place, done.at));
        }
    }

    /// Tells the owners which rows were taken out of their outbox.
    fn announce_cancelled(&self, done: &Done) {
        let mut rows: HashMap<CarrierId, Vec<OutboxRef>> = HashMap::new();
        for done in &done.admin {
            let AdminDone::Cancelled(fates) = done else { continue };
            for fate in fates {
                let CancelFate::Cancelled { row: Some(row) } = fate else { continue };
                self.shared.add_backlog(row.organization, -1);
                rows.entry(row.carrier).or_default().push(*row);
            }
        }
        for (carrier, rows) in rows {
            if let Some(owner) = self.carriers.find(carrier) {
                let _ = owner.send_message(OwnerMsg::Cancelled(rows));
            }
        }
    }
}

#[cfg(test)]
mod tests;
