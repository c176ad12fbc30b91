//! Whether a call is recorded, who is told before, and the recording itself.
//!
//! What has to be announced is heard after the answer and before the sides are connected: neither is heard
//! by the other until it is over, and nothing is recorded of it. It is never played to sides that talk
//! already, but for who comes by a transfer: the recording pauses until that one was told too. What
//! cannot be announced is not recorded, and the call goes on.
//!
//! A recording is a row before it is a file. Its task waits for its end, by whatever reason, and has it
//! stored: also when this actor is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::clock::At;
use model::id::PublicId;
use model::voice::{ConsentMode, Demand, EndReason, HangupBy, RecordingFault, RecordingSettings};
use store::lane::{Admin, NewRecording, RecordingChange, RecordingDone, Work};

use super::CallMsg;
use super::orders::{Answer, Unobeyed};
use super::state::{CallState, Phase, now};
use crate::media::{Encoding, Refused, RemoteMedia, Side, Tap};
use crate::sip::recordings::{failed, file_of, finish, store_end};
use crate::writer::Then;

/// How much longer than it is an announcement may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a recording is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapeOrder {
    Start,
    Pause,
    Resume,
    Stop,
}

/// Why nothing may be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// It was to be announced before, and was not.
    Unannounced,
    /// A party's place asks for more.
    Jurisdiction(Demand),
    Codec,
}

/// (self) What became of a recording that was begun.
#[derive(Debug)]
pub enum TapeNews {
    /// Its row and its file are there.
    Open(PublicId, Tap),
    /// It has ended, or never began.
    Over(PublicId),
}

/// What a call knows of its recording.
#[derive(Debug, Default)]
pub(super) struct Tape {
    /// What its organization wanted when it was answered.
    wanted: Option<Arc<RecordingSettings>>,
    /// Who has to hear the announcement.
    hearers: [bool; 2],
    /// Numbers of all who take part, or took part.
    parties: Vec<String>,
    /// The relay knows what was agreed with these sides.
    agreed: [bool; 2],
    /// The sides are there, and whatever has to be announced is, or was.
    is_begun: bool,
    announcing: Option<Announcing>,
    announced_at: Option<At>,
    /// It is to be recorded as soon as that may be.
    is_due: bool,
    /// That the store is to be told of, once it knows the call.
    fault: Option<RecordingFault>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Announcing {
    /// Who has not heard all of it.
    waits: [bool; 2],
    until: Instant,
}

#[derive(Debug)]
struct Running {
    id: PublicId,
    is_open: bool,
    is_paused: bool,
    /// Who asked for it, and waits until it is open.
    asker: Option<Answer>,
}

impl Tape {
    pub(super) fn is_announcing(&self) -> bool {
        self.announcing.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.announcing.as_ref().map(|announcing| announcing.until)
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::B)
}

/// Whether what a side says can be recorded: what it will speak, of what both said, is G.711.
fn is_g711(remote: &RemoteMedia) -> bool {
    let both = remote.receive.iter().map(|format| &format.encoding);
    let mut both = both.filter(|encoding| remote.send.iter().any(|s| s.encoding == **encoding));
    let sound =
        both.find(|encoding| !matches!(encoding, Encoding::Events { .. } | Encoding::ComfortNoise));
    matches!(sound, Some(Encoding::G711(_)))
}

impl CallState {
    /// Something was agreed, and the relay is about to hear of it. Who has to hear an announcement is kept
    /// apart from the other one before that.
    pub(super) async fn before_agreed(&mut self) {
        let is_first = self.phase == Phase::Up && self.end.is_none() && !self.tape.is_begun;
        if is_first && self.look().contains(&true) {
            self.hush(true).await;
        }
    }

    /// The relay was told what was agreed with a side of an answered call.
    pub(super) async fn agreed(&mut self, side: Side, is_other_peer: bool) {
        self.tape.agreed[index(side)] = true;
        if self.phase != Phase::Up || self.end.is_some() {
            return;
        }
        let hearers = self.look();
        if self.tape.is_begun {
            if is_other_peer {
                return self.newcomer(side).await;
            }
            return self.check_codecs().await;
        }
        if self.tape.agreed == [true; 2] {
            self.tape.is_begun = true;
            match hearers {
                [false, false] => self.begin_due(),
                _ => self.announce(hearers).await,
            }
        }
    }

    /// What the organization wants, looked up once; who hears the announcement.
    fn look(&mut self) -> [bool; 2] {
        if self.tape.wanted.is_none()
            && let Some(plan) = &self.plan
        {
            let wanted = self.context.taping.wanted(plan.organization);
            self.tape.hearers = wanted.hearers(plan.direction);
            self.tape.is_due = wanted.default_record || plan.record;
            self.tape.wanted = Some(wanted);
            self.add_parties();
        }
        self.tape.hearers
    }

    fn add_parties(&mut self) {
        let Some(plan) = &self.plan else { return };
        let from = plan.from.number.clone().unwrap_or_default();
        let all = [from, plan.to.clone()].into_iter().chain(plan.dials().map(str::to_owned));
        let all: Vec<String> = all.filter(|party| !self.tape.parties.contains(party)).collect();
        self.tape.parties.extend(all);
    }

    /// Neither side is heard by the other, or each is again that nobody has silenced.
    async fn hush(&mut self, on: bool) {
        let Some(session) = &self.session else { return };
        let mut done = Ok(());
        for side in Side::BOTH {
            let number = self.number_of(side);
            let leg = self.legs.iter().find(|(of, _)| Some(*of) == number);
            let muted = leg.is_some_and(|(_, leg)| leg.record.muted);
            done = done.and(session.mute(side, on || muted).await);
        }
        if let Err(refused) = done {
            tracing::warn!(%refused, "the sides of a call cannot be connected");
            self.hang_up(HangupBy::System, EndReason::CarrierError);
        }
    }

    /// Plays the announcement to these sides.
    async fn announce(&mut self, hearers: [bool; 2]) {
        let wanted = self.tape.wanted.as_ref().and_then(|wanted| wanted.announcement.as_ref());
        let sound = wanted.and_then(|wanted| self.context.taping.sounds().get(&wanted.sound));
        let Some(sound) = sound else {
            return self.not_announced(RecordingFault::AnnouncementUnavailable).await;
        };
        self.hush(true).await;
        for side in Side::BOTH {
            if hearers[index(side)] && self.start_sound(side, &sound, false).await.is_err() {
                return self.not_announced(RecordingFault::AnnouncementUnavailable).await;
            }
        }
        let until = now() + sound.lasts() + PATIENCE;
        self.tape.announcing = Some(Announcing { waits: hearers, until });
    }

    /// A side has heard the announcement; false: it was not played to it.
    pub(super) async fn heard_announcement(&mut self, side: Side) -> bool {
        let announcing = self.tape.announcing.as_mut();
        let Some(announcing) = announcing.filter(|announcing| announcing.waits[index(side)]) else {
            return false;
        };
        announcing.waits[index(side)] = false;
        if announcing.waits == [false; 2] {
            self.tape.announcing = None;
            self.tape.announced_at = Some(self.at());
            self.connect().await;
            if self.tape.running.is_some() {
                self.pause_as_wanted().await;
            }
            self.begin_due();
        }
        true
    }

    async fn connect(&mut self) {
        self.hush(false).await;
        for side in Side::BOTH {
            self.music_again(side).await;
        }
    }

    /// The announcement is not heard: the call goes on, and nothing of it is recorded.
    async fn not_announced(&mut self, fault: RecordingFault) {
        (self.tape.announcing, self.tape.announced_at) = (None, None);
        if let Some(session) = &self.session {
            for side in Side::BOTH {
                // What it does not play need not be stopped.
                let _ = session.stop_play(side).await;
            }
        }
        let was_running = self.stop_tape().await;
        if std::mem::take(&mut self.tape.is_due) || was_running {
            self.not_recorded(fault);
        }
        self.connect().await;
    }

    pub(super) async fn tape_due(&mut self, moment: Instant) {
        if self.tape.deadline().is_some_and(|until| until <= moment) {
            self.not_announced(RecordingFault::AnnouncementUnheard).await;
        }
    }

    /// Somebody else is on this side now.
    async fn newcomer(&mut self, side: Side) {
        self.goes_on_without(side.other()).await;
        self.add_parties();
        let is_for_all =
            self.tape.wanted.as_ref().is_some_and(|w| w.mode == ConsentMode::AnnounceAll);
        if self.tape.running.is_some()
            && let Err(Barrier::Jurisdiction(_)) = self.may_record()
        {
            self.stop_tape().await;
            self.not_recorded(RecordingFault::Jurisdiction);
        }
        if !is_for_all {
            if self.has_stranger() && self.stop_tape().await {
                self.not_recorded(RecordingFault::AnnouncementUnavailable);
            }
            return self.check_codecs().await;
        }
        let mut hearers = self.tape.announcing.as_ref().map_or([false; 2], |a| a.waits);
        hearers[index(side)] = true;
        self.pause(true).await;
        self.announce(hearers).await;
    }

    /// Whether somebody is of another call: what that one was told, and where it is, is not known here.
    fn has_stranger(&self) -> bool {
        self.ties.far.is_some()
    }

    /// What is recorded has to be G.711 still.
    async fn check_codecs(&mut self) {
        if self.tape.running.is_some() && !self.has_codecs() {
            self.stop_tape().await;
        }
    }

    fn has_codecs(&self) -> bool {
        let Some(bridge) = &self.bridge else { return false };
        let fits = |side| bridge.relay().remote(side, false).is_some_and(|remote| is_g711(&remote));
        Side::BOTH.into_iter().all(fits)
    }

    fn may_record(&self) -> Result<(), Barrier> {
        let Some(wanted) = &self.tape.wanted else { return Err(Barrier::Unannounced) };
        let parties = self.tape.parties.iter().map(String::as_str);
        let demand = self.context.taping.jurisdictions().demand(parties);
        if let Some(demand) = demand.filter(|demand| demand.mode > wanted.mode)
            && wanted.enforce_jurisdiction
        {
            return Err(Barrier::Jurisdiction(demand));
        }
        let is_untold = self.tape.hearers.contains(&true) && self.tape.announced_at.is_none();
        let is_for_all = wanted.mode == ConsentMode::AnnounceAll;
        if is_untold || (self.has_stranger() && !is_for_all) {
            return Err(Barrier::Unannounced);
        }
        if self.has_codecs() { Ok(()) } else { Err(Barrier::Codec) }
    }

    /// The store knows the call: what had to wait for that is done.
    pub(super) fn row_known(&mut self) {
        if let Some(fault) = self.tape.fault.take() {
            self.not_recorded(fault);
        }
        self.begin_due();
    }

    /// Begins to record what is to be recorded, if that may be now.
    fn begin_due(&mut self) {
        let ready = self.phase == Phase::Up && self.tape.is_begun && self.row.key.is_some();
        let free = self.tape.announcing.is_none() && self.tape.running.is_none();
        if !(ready && free && self.tape.is_due) {
            return;
        }
        self.tape.is_due = false;
        match self.may_record() {
            Ok(()) => self.open_tape(None),
            Err(Barrier::Unannounced) => {
                self.not_recorded(RecordingFault::AnnouncementUnavailable);
            }
            Err(Barrier::Jurisdiction(_)) => self.not_recorded(RecordingFault::Jurisdiction),
            Err(Barrier::Codec) => self.not_recorded(RecordingFault::Codec),
        }
    }

    /// The log is told that what was to be recorded is not.
    fn not_recorded(&mut self, fault: RecordingFault) {
        let (Some(plan), Some(call)) = (&self.plan, self.row.key) else {
            self.tape.fault = Some(fault);
            return;
        };
        let organization = plan.organization;
        let change = RecordingChange::Refuse { organization, call, fault };
        let work = Work { admin: vec![Admin::Recording(Box::new(change))], ..Work::default() };
        metrics::counter!("orbit_recordings_ended_total", "outcome" => fault.as_str()).increment(1);
        // Without a writer nobody is told.
        let _ = self.context.writer.ask(work, Then::new(|_| {}));
    }

    /// First the row, then the file, then `TapeNews::Open`; its end is stored whoever is left.
    fn open_tape(&mut self, asker: Option<Answer>) {
        let (Some(plan), Some(call), Some(session), Some(wanted)) =
            (&self.plan, self.row.key, &self.session, &self.tape.wanted)
        else {
            return;
        };
        let at = At::now();
        let id = PublicId::new(at);
        let file = file_of(id, at);
        let path = self.context.taping.path(&file);
        let opening = session.open_tape(path.clone());
        let new = NewRecording {
            id,
            organization: plan.organization,
            call,
            mode: wanted.mode,
            announced_at: self.tape.announced_at,
            file,
            retention_days: wanted.retention_days,
        };
        let (writer, me) = (self.context.writer.clone(), self.me.clone());
        self.tape.running = Some(Running { id, is_open: false, is_paused: false, asker });
        tokio::spawn(async move {
            let begin = Admin::Recording(Box::new(RecordingChange::Begin(new)));
            let stored = writer.administer(begin).await;
            let is_stored =
                matches!(stored, Ok(store::lane::AdminDone::Recording(RecordingDone::Stored)));
            let opened = if is_stored { opening.await } else { Err(Refused::Busy) };
            match opened {
                Ok((tap, ended)) => {
                    let _ = me.send_message(CallMsg::Tape(TapeNews::Open(id, tap)));
                    finish(&writer, id, &path, ended).await;
                }
                // It may be stored, by a writer that could not say it.
                Err(refused) => {
                    tracing::warn!(%refused, "a recording cannot begin");
                    let fault = match refused {
                        Refused::File(_) => RecordingFault::Storage,
                        _ => RecordingFault::Busy,
                    };
                    store_end(&writer, id, &path, failed(fault)).await;
                }
            }
            // A call that is over needs no news.
            let _ = me.send_message(CallMsg::Tape(TapeNews::Over(id)));
        });
    }

    pub(super) async fn tape_news(&mut self, news: TapeNews) {
        let is_of = |running: &Running, id: &PublicId| running.id == *id;
        match news {
            // Dropped, the tap of a recording that is not wanted any more ends it.
            TapeNews::Open(id, tap)
                if self.tape.running.as_ref().is_some_and(|r| is_of(r, &id)) =>
            {
                let done = match &self.session {
                    Some(session) => session.record(tap).await,
                    None => Err(Refused::Closed),
                };
                let is_open = done.is_ok();
                let asker = self.tape.running.as_mut().and_then(|running| {
                    running.is_open = is_open;
                    running.asker.take()
                });
                if is_open && self.tape.is_announcing() {
                    self.pause(true).await;
                }
                if !is_open {
                    self.tape.running = None;
                }
                if let Some(asker) = asker {
                    let _ = asker.send(done.map_err(Unobeyed::Sound));
                }
            }
            TapeNews::Open(..) => {}
            TapeNews::Over(id) => {
                let over = self.tape.running.take_if(|running| is_of(running, &id));
                if let Some(asker) = over.and_then(|running| running.asker) {
                    let _ = asker.send(Err(Unobeyed::NotStored));
                }
            }
        }
    }

    /// Ends the recording, if there is one; its task does the rest.
    async fn stop_tape(&mut self) -> bool {
        let Some(running) = self.tape.running.take() else { return false };
        if let Some(asker) = running.asker {
            let _ = asker.send(Err(Unobeyed::NotStored));
        }
        if let (true, Some(session)) = (running.is_open, &self.session) {
            // One that has ended by itself is told the same.
            let _ = session.stop_record().await;
        }
        true
    }

    async fn pause(&self, on: bool) {
        let running = self.tape.running.as_ref().filter(|running| running.is_open);
        if let (Some(_), Some(session)) = (running, &self.session) {
            let _ = session.pause_record(on).await;
        }
    }

    async fn pause_as_wanted(&self) {
        let on = self.tape.running.as_ref().is_some_and(|running| running.is_paused);
        self.pause(on).await;
    }

    /// From the API.
    pub(super) async fn tape_ordered(&mut self, order: TapeOrder, answer: Answer) {
        let may = match order {
            _ if self.phase != Phase::Up => Err(Unobeyed::NotUp),
            _ if self.tape.is_announcing() || !self.tape.is_begun || self.row.key.is_none() => {
                Err(Unobeyed::Busy)
            }
            TapeOrder::Start if self.tape.running.is_some() => {
                Err(Unobeyed::Sound(Refused::Recording))
            }
            TapeOrder::Start => self.may_record().map_err(Unobeyed::Unrecorded),
            _ if self.tape.running.is_none() => Err(Unobeyed::Sound(Refused::NotRecording)),
            _ => Ok(()),
        };
        let done = match (may, order) {
            (Err(why), _) => Err(why),
            (Ok(()), TapeOrder::Start) => return self.open_tape(Some(answer)),
            (Ok(()), TapeOrder::Stop) => {
                self.stop_tape().await;
                Ok(())
            }
            (Ok(()), TapeOrder::Pause | TapeOrder::Resume) => {
                self.pause_ordered(order == TapeOrder::Pause).await
            }
        };
        let _ = answer.send(done);
    }

    async fn pause_ordered(&mut self, on: bool) -> Result<(), Unobeyed> {
        let session = self.session.as_ref().ok_or(Unobeyed::NotUp)?;
        let running = self.tape.running.as_mut().filter(|running| running.is_open);
        let running = running.ok_or(Unobeyed::Busy)?;
        session.pause_record(on).await.map_err(Unobeyed::Sound)?;
        running.is_paused = on;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto_media::g711::Law;

    use super::*;
    use crate::media::Format;

    #[test]
    fn what_both_said_first_decides_whether_it_can_be_recorded() {
        let (mu, a, events) = (Format::g711(Law::Mu), Format::g711(Law::A), Format::events(101));
        let encoding = Encoding::Other { name: "opus".into(), clock_hz: 48_000 };
        let opus = Format { payload_type: 96, encoding };
        let fits =
            |receive: &[Format], send: &[Format]| is_g711(&RemoteMedia::speaking(receive, send));
        let both = [opus.clone(), mu.clone(), events.clone()];
        let one = [mu.clone(), events.clone()];
        // It offered more than was answered, whoever offered.
        assert!(fits(&one, &both) && fits(&both, &one));
        assert!(fits(&[events, a.clone()], &[a]));
        assert!(!fits(&both, &both) && !fits(&[opus], &one) && !fits(&[], &one));
    }
}
