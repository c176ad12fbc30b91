//! What an endpoint does next, after each thing that happened: load, send, store, read, wait.
//!
//! Never awaits: each step starts a task of the endpoint's, or asks the writer.

use super::*;
use crate::customer::webhook::shot::shoot;

/// A timer this much too late is not replaced.
const TIMER_SLACK: Duration = Duration::from_millis(1);

impl WebhookEndpointState {
    pub(super) fn pump(&mut self, me: &ActorRef<WebhookEndpointMsg>) {
        if self.load_wanted && !self.loading && self.reported.is_none() && !self.rests() {
            self.load(me);
        }
        self.send(me);
        self.store(me);
        self.read_on(me);
        self.let_go();
        self.set_timer(me);
    }

    fn rests(&self) -> bool {
        self.rest_until.is_some_and(|until| until > Instant::now())
    }

    fn load(&mut self, me: &ActorRef<WebhookEndpointMsg>) {
        (self.loading, self.load_wanted) = (true, false);
        let (me, webhook) = (me.clone(), self.webhook);
        let (store, plan) = (self.tools.store.clone(), self.tools.plan.clone());
        self.tasks.spawn(async move {
            let loaded = super::load(&store, webhook, &plan).await;
            let loaded = loaded.map(|loaded| loaded.map(Box::new));
            let _ = me.send_message(WebhookEndpointMsg::Loaded(loaded));
        });
    }

    fn send(&mut self, me: &ActorRef<WebhookEndpointMsg>) {
        let (Some(queue), Some(endpoint)) = (&mut self.queue, &self.endpoint) else { return };
        let now = At::now();
        queue.expire(now);
        self.meters.dead.increment(queue.take_dead());
        if !self.running {
            return;
        }
        while let Some(item) = queue.next(now) {
            let (me, tools, endpoint) = (me.clone(), self.tools.clone(), endpoint.clone());
            self.tasks.spawn(async move {
                let attempt = Box::new(shoot(&tools, &endpoint, item).await);
                let _ = me.send_message(WebhookEndpointMsg::Attempted(attempt));
            });
        }
    }

    /// One report at a time: its cursor speaks of all that went before it. None while rows are
    /// being read, so that what is read is not older than what is known.
    fn store(&mut self, me: &ActorRef<WebhookEndpointMsg>) {
        if self.reported.is_some() || self.loading || self.rests() {
            return;
        }
        let (Some(queue), Some(endpoint)) = (&mut self.queue, &self.endpoint) else { return };
        let disable = queue.take_disable();
        if disable.is_none() && !queue.has_news() {
            if !queue.has_moved() {
                return self.moved_at = None;
            }
            let moved_at = *self.moved_at.get_or_insert_with(Instant::now);
            if moved_at.elapsed() < CURSOR_REST {
                return;
            }
        }
        self.moved_at = None;
        let report = queue.report();
        let record = Record {
            webhook: self.webhook,
            organization: endpoint.organization,
            cursor: report.cursor,
            failing_since: report.failing_since,
            deliveries: report.deliveries.clone(),
            disable: disable.map(|reason| (reason, endpoint.disabled_detail(reason))),
        };
        self.running &= disable.is_none();
        self.reported = Some(report);
        let mut news = News { me: me.clone(), fate: Fate::Unknown };
        let then = Then::new(move |done: Done| {
            let news = &mut news;
            news.fate = match done.admin.first() {
                Some(AdminDone::Failed) => Fate::Refused,
                Some(_) => Fate::Stored,
                None => Fate::Unknown,
            };
        });
        let change = Admin::Webhook(Box::new(WebhookChange::Record(record)));
        let work = Work { admin: vec![change], ..Work::default() };
        // Without a writer `then` is dropped, which is news too.
        let _ = self.tools.writer.ask(work, then);
    }

    fn read_on(&mut self, me: &ActorRef<WebhookEndpointMsg>) {
        let room = self.queue.as_ref().is_some_and(Queue::has_room);
        if !self.running || !room || self.reading || self.rests() {
            return;
        }
        let Some(mut follower) = self.follower.take() else { return };
        self.reading = true;
        let (me, life) = (me.clone(), self.life);
        self.tasks.spawn(async move {
            let lines = follower.next().await;
            let _ = me.send_message(WebhookEndpointMsg::Read(life, follower, lines));
        });
    }

    /// A paused endpoint keeps nothing in memory once all that it did is stored.
    fn let_go(&mut self) {
        if self.running || self.loading || self.reported.is_some() {
            return;
        }
        let done = self.queue.as_ref().is_some_and(|queue| !queue.is_flying() && !queue.has_news());
        if done {
            self.queue = None;
            self.follower = None;
            if self.reading {
                self.tasks.abort_all();
                self.reading = false;
            }
        }
    }

    fn set_timer(&mut self, me: &ActorRef<WebhookEndpointMsg>) {
        let now = Instant::now();
        let work = self.queue.as_ref().and_then(Queue::wake_at);
        let work = work.filter(|_| self.running).map(|at| now + at.since(At::now()).min(WAKE_MAX));
        let cursor = self.moved_at.map(|at| at + CURSOR_REST);
        let rest = self.rest_until.filter(|until| *until > now);
        let next = [work, cursor, rest].into_iter().flatten().min();
        match (next, &self.timer) {
            // One that is early does no harm, and sets the next.
            (Some(next), Some((at, _))) if *at <= next + TIMER_SLACK => {}
            (next, timer) => {
                if let Some((_, timer)) = timer {
                    timer.abort();
                }
                self.timer = next.map(|next| {
                    let wait = next.saturating_duration_since(now);
                    let timer = me.send_after(wait, || WebhookEndpointMsg::Wake);
                    (next, timer.abort_handle())
                });
            }
        }
    }
}
