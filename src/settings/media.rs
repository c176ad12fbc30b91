//! Where calls' sound goes through: `[media]`.

use std::net::IpAddr;
use std::time::Duration;

use actors::customer::webhook::guard::Networks;
use actors::media::Speech;
use actors::sip::call::codec;
use proto_sip::sdp::Codec;
use serde::{Deserialize, Serialize};

use super::{Faults, some_text};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    pub bind: IpAddr,
    /// None: `bind`, or the address this machine sends from.
    #[serde(deserialize_with = "some_text")]
    pub public_address: Option<String>,
    pub networks: Vec<String>,
    pub port_min: u16,
    pub port_max: u16,
    pub port_rest_s: u64,
    pub threads: usize,
    pub timeout_s: u64,
    pub rtcp_interval_s: u64,
    pub transcode: Vec<String>,
    pub transcoded_max: usize,
    pub orders_max: usize,
    pub recorder_queue: usize,
    pub recording_max_s: u64,
    /// None: `recordings` in the data folder.
    #[serde(deserialize_with = "some_text")]
    pub recordings_dir: Option<String>,
    pub recordings_sweep_s: u64,
    /// None: the table of the program.
    #[serde(deserialize_with = "some_text")]
    pub consent_file: Option<String>,
    #[serde(deserialize_with = "some_text")]
    pub sounds_dir: Option<String>,
    pub sounds_bytes_max: u64,
    #[serde(deserialize_with = "some_text")]
    pub hold_music: Option<String>,
}

impl Media {
    /// Lets calls' ends be on this machine, whichever of its addresses they speak from.
    pub fn reach_this_machine(&mut self) {
        let own = actors::media::sends_from(self.bind);
        self.networks.extend([String::from("127.0.0.0/8"), own.to_string()]);
    }

    /// As the media plane takes it.
    #[must_use]
    pub fn plane(&self) -> actors::media::Config {
        actors::media::Config {
            threads: self.threads,
            bind: self.bind,
            public_address: self.public_address.as_deref().and_then(|text| text.parse().ok()),
            networks: Networks::parse(&self.networks).unwrap_or_default(),
            port_min: self.port_min,
            port_max: self.port_max,
            port_rest: Duration::from_secs(self.port_rest_s),
            timeout: Duration::from_secs(self.timeout_s),
            rtcp_interval: Duration::from_secs(self.rtcp_interval_s),
            transcoded_max: self.transcoded_max,
            orders_max: self.orders_max,
            recorder_queue: self.recorder_queue,
            recording_longest: Duration::from_secs(self.recording_max_s),
        }
    }

    /// Codecs that calls are offered beside their own.
    #[must_use]
    pub fn spoken(&self) -> Vec<Codec> {
        self.transcode.iter().filter_map(|name| codec(name)).collect()
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        let section = "media";
        for name in &self.transcode {
            let codec = codec(name);
            let listed = "a list of PCMU, PCMA, G722, opus";
            faults.unless(codec.is_some(), section, "transcode", listed);
            let speech = codec.and_then(|codec| Speech::named(&codec.name, codec.clock_hz));
            let built = speech.is_none_or(Speech::is_built);
            let expected = format!("without {name}, which this program was not built with");
            faults.unless(built, section, "transcode", &expected);
        }
        faults.range(self.transcoded_max as u64, 0..=100_000, section, "transcoded_max");
        let public = self.public_address.as_deref();
        let fits = public.is_none_or(|text| text.parse::<IpAddr>().is_ok());
        faults.unless(fits, section, "public_address", "an IP address, or empty");
        if let Err(bad) = Networks::parse(&self.networks) {
            let expected = format!("networks such as 10.0.0.0/8, not \"{bad}\"");
            faults.unless(false, section, "networks", &expected);
        }
        faults.range(u64::from(self.port_min), 1_024..=65_532, section, "port_min");
        let first_pair = u64::from(self.port_min).next_multiple_of(2);
        faults.range(u64::from(self.port_max), first_pair + 3..=65_535, section, "port_max");
        faults.range(self.port_rest_s, 0..=3_600, section, "port_rest_s");
        faults.range(self.threads as u64, 0..=256, section, "threads");
        faults.range(self.timeout_s, 0..=86_400, section, "timeout_s");
        faults.range(self.rtcp_interval_s, 0..=600, section, "rtcp_interval_s");
        let queue = 64..=1_000_000;
        faults.range(self.recorder_queue as u64, queue, section, "recorder_queue");
        faults.range(self.recording_max_s, 1..=86_400, section, "recording_max_s");
        faults.range(self.recordings_sweep_s, 1..=86_400, section, "recordings_sweep_s");
        let bytes = 0..=4_294_967_296;
        faults.range(self.sounds_bytes_max, bytes, section, "sounds_bytes_max");
        let music = self.hold_music.as_deref();
        let fits = music.is_none_or(actors::media::is_sound_name);
        faults.unless(fits, section, "hold_music", "the name of a file, as in hold.wav, or empty");
        faults.range(self.orders_max as u64, 16..=1_000_000, section, "orders_max");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    fn with(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let overrides = pairs.iter().map(owned).collect();
        Settings::load(None, Vec::new(), overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn the_plane_is_told_what_is_set() {
        let settings = with(&[
            ("media.public_address", "192.0.2.7"),
            ("media.port_min", "30001"),
            ("media.port_max", "30005"),
            ("media.timeout_s", "9"),
        ]);
        let mut media = settings.unwrap().media;
        media.networks = vec!["10.0.0.0/8".to_owned()];
        let plane = media.plane();
        assert_eq!(plane.public_address, Some("192.0.2.7".parse().unwrap()));
        assert_eq!((plane.port_min, plane.port_max, plane.timeout.as_secs()), (30_001, 30_005, 9));
        assert!(plane.networks.contains("10.1.2.3".parse().unwrap()));
        assert_eq!(with(&[]).unwrap().media.plane().public_address, None);
    }

    #[test]
    fn ends_on_this_machine_are_reached_when_that_is_wanted() {
        let mut media = with(&[("media.bind", "10.1.2.3")]).unwrap().media;
        let reaches = |media: &super::Media| {
            let networks = media.plane().networks;
            ["127.0.0.1", "10.1.2.3", "10.1.2.4"].map(|at| networks.contains(at.parse().unwrap()))
        };
        assert_eq!(reaches(&media), [false; 3]);
        media.reach_this_machine();
        assert_eq!(reaches(&media), [true, true, false]);
    }

    #[test]
    fn a_range_without_room_for_a_call_and_a_name_for_an_address_are_refused() {
        let small = [("media.port_min", "30001"), ("media.port_max", "30004")];
        assert!(with(&small).unwrap_err().contains("media.port_max"));
        let codec = [("media.transcode", r#"["PCMU", "speex"]"#)];
        assert!(with(&codec).unwrap_err().contains("media.transcode"));
        let all = [("media.transcode", r#"["PCMU", "PCMA", "G722", "opus"]"#)];
        let is_built = cfg!(all(feature = "g722", feature = "opus"));
        assert_eq!(with(&all).is_ok(), is_built);
        let name = [("media.public_address", "example.com")];
        assert!(with(&name).unwrap_err().contains("media.public_address"));
    }
}
