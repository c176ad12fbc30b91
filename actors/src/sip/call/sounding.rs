//! What a call plays to its sides: sounds that the API asks for, and music to who waits.
//!
//! A sound takes the place of what the other side says. Who waits and has music hears it again when
//! something else was played in between.

use model::voice::HangupBy;
use store::lane::CallChange;

use super::orders::Unobeyed;
use super::state::{CallState, Phase};
use crate::media::{PlayId, Refused, Side, Sound};

/// A side that waits.
pub(super) struct Waiting {
    music: Option<Sound>,
    /// By whose wish.
    by: HangupBy,
}

fn index(side: Side) -> usize {
    usize::from(side == Side::B)
}

fn name(side: Side) -> &'static str {
    match side {
        Side::A => "a",
        Side::B => "b",
    }
}

impl CallState {
    /// Plays a sound to these sides, in the place of what was played to them before.
    pub(super) async fn play(
        &mut self,
        sides: &[Side],
        sound: &Sound,
        repeats: bool,
    ) -> Result<(), Unobeyed> {
        if self.phase != Phase::Up {
            return Err(Unobeyed::NotUp);
        }
        if self.tape.is_announcing() {
            return Err(Unobeyed::Busy);
        }
        for side in sides {
            self.start_sound(*side, sound, repeats).await.map_err(Unobeyed::Sound)?;
        }
        Ok(())
    }

    /// Plays nothing to these sides, but music to who waits.
    pub(super) async fn stop_playing(&mut self, sides: &[Side]) -> Result<(), Unobeyed> {
        if self.tape.is_announcing() {
            return Err(Unobeyed::Busy);
        }
        if self.phase != Phase::Up {
            return Err(Unobeyed::NotUp);
        }
        for side in sides {
            let session = self.session.as_ref().ok_or(Unobeyed::NotUp)?;
            session.stop_play(*side).await.map_err(Unobeyed::Sound)?;
            self.music_again(*side).await;
        }
        Ok(())
    }

    /// A side waits from now on, with this music if there is any.
    pub(super) async fn waits(&mut self, side: Side, music: Option<Sound>, by: HangupBy) {
        let before = self.on_hold[index(side)].replace(Waiting { music, by });
        self.music_again(side).await;
        if before.is_none() {
            self.tell_held(side, true, by);
        }
    }

    /// A side waits no longer.
    pub(super) async fn goes_on(&mut self, side: Side, by: HangupBy) {
        let Some(before) = self.on_hold[index(side)].take() else { return };
        if before.music.is_some()
            && !self.tape.is_announcing()
            && let Some(session) = &self.session
        {
            // A session that is closed plays nothing.
            let _ = session.stop_play(side).await;
        }
        self.tell_held(side, false, by);
    }

    /// Who made this side wait by itself is not there any more.
    pub(super) async fn goes_on_without(&mut self, side: Side) {
        let waiting = self.on_hold[index(side)].as_ref();
        if let Some(by) = waiting.map(|waiting| waiting.by).filter(|by| *by != HangupBy::Api) {
            self.goes_on(side, by).await;
        }
    }

    fn tell_held(&self, side: Side, on: bool, by: HangupBy) {
        if let Some(key) = self.row.key {
            self.tell(CallChange::Held { key, at: self.at(), on, leg: name(side), by });
        }
    }

    /// Plays a sound to a side; its end is told of by its name.
    pub(super) async fn start_sound(
        &mut self,
        side: Side,
        sound: &Sound,
        repeats: bool,
    ) -> Result<(), Refused> {
        let session = self.session.as_ref().ok_or(Refused::Closed)?;
        self.playing[index(side)] = Some(session.play(side, sound, repeats).await?);
        Ok(())
    }

    /// A sound is over. What was played before the one that is heard now says nothing of that.
    pub(super) async fn played(&mut self, side: Side, sound: PlayId) {
        if self.playing[index(side)].take_if(|playing| *playing == sound).is_some()
            && !self.heard_announcement(side).await
        {
            self.music_again(side).await;
        }
    }

    /// Music goes on for who waits.
    pub(super) async fn music_again(&mut self, side: Side) {
        let waiting = self.on_hold[index(side)].as_ref();
        let music = waiting.and_then(|waiting| waiting.music.clone());
        if let Some(music) = music.filter(|_| !self.tape.is_announcing())
            && let Err(refused) = self.start_sound(side, &music, true).await
        {
            tracing::debug!(%refused, "who waits hears no music");
        }
    }
}
