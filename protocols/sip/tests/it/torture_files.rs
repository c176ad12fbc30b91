//! The messages of RFC 4475 and RFC 5118 themselves, when `ORBIT_SIP_TORTURE` names the folder
//! that holds them. The repository's own cases, in `torture`, say the same without them.

use std::fs;
use std::path::Path;

use crate::invites::{Outcome, outcome};
use Outcome::{Answered, Dropped, Taken};

/// What becomes of each message of RFC 4475, by the beginning of its file's name.
const RFC4475: [(&str, Outcome); 50] = [
    ("TC_BADASPEC_I", Answered(400)),
    ("TC_BADBRANCH_V", Taken),
    ("TC_BADDATE_V", Taken),
    ("TC_BADDN_I", Answered(400)),
    ("TC_BADINV01_I", Answered(400)),
    ("TC_BADVERS_V", Answered(505)),
    ("TC_BCAST_V", Taken),
    ("TC_BEXT01_V", Taken),
    ("TC_BIGCODE_V", Dropped),
    ("TC_CLERR_I", Answered(400)),
    ("TC_CPARAM01_V", Taken),
    ("TC_CPARAM02_V", Taken),
    ("TC_DBLREQ", Taken),
    ("TC_ESC01_V", Taken),
    ("TC_ESC02_V", Taken),
    ("TC_ESCNULL_V", Taken),
    ("TC_ESCRURI_V", Taken),
    ("TC_INSUF_I", Answered(400)),
    ("TC_INTMETH", Taken),
    ("TC_INV2543_I", Taken),
    ("TC_INVUT_V", Taken),
    ("TC_LONGREQ_V", Taken),
    ("TC_LTGTRURI_I", Answered(400)),
    ("TC_LWSDISP_V", Taken),
    ("TC_LWSRURI_I", Answered(400)),
    ("TC_LWSSTART_V", Taken),
    ("TC_MCL01_I", Answered(400)),
    ("TC_MISMATCH01_V", Answered(400)),
    ("TC_MISMATCH02_V", Answered(400)),
    ("TC_MPART01", Taken),
    ("TC_MULTI01_I", Answered(400)),
    ("TC_NCL_I", Answered(400)),
    ("TC_NOREASON_V", Taken),
    ("TC_NOVELSC_V", Answered(416)),
    ("TC_QUOTBAL_I", Answered(400)),
    ("TC_REGAUT01_V", Taken),
    ("TC_REGBADCT_I", Answered(400)),
    ("TC_REGESCRT_V", Taken),
    ("TC_SCALAR02_V", Answered(400)),
    ("TC_SCALARLG_V", Dropped),
    ("TC_SDP01_V", Taken),
    ("TC_SEMIURI_V", Taken),
    ("TC_TEST_I", Dropped),
    ("TC_TRANSPORTS_V", Taken),
    ("TC_TRWS_I", Answered(400)),
    ("TC_UNKSCM_V", Answered(416)),
    ("TC_UNKSM2_V", Taken),
    ("TC_UNREASON_V", Taken),
    ("TC_WSINV", Taken),
    ("TC_ZEROMF_V", Taken),
];

const RFC5118: [(&str, Outcome); 6] = [
    ("4.1_", Taken),
    ("4.2_", Answered(400)),
    // The copy's body is shorter than its Content-Length.
    ("4.6_", Answered(400)),
    ("4.9_", Taken),
    ("4.10_ipv6-bug", Taken),
    ("4.10_ipv6-correct", Taken),
];

/// The files of a folder, each with its octets.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let paths = entries.map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path));
    named.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

fn compare(files: Vec<(String, Vec<u8>)>, expected: &[(&str, Outcome)]) {
    assert_eq!(files.len(), expected.len());
    let mut wrong = Vec::new();
    for (name, octets) in files {
        let (_, wanted) = expected.iter().find(|(start, _)| name.starts_with(start)).unwrap();
        let found = outcome(&octets);
        if found != *wanted {
            wrong.push(format!("{name}: {found:?}, not {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_messages_of_the_rfcs_fare_as_they_say() {
    let Some(folder) = std::env::var_os("ORBIT_SIP_TORTURE") else {
        return;
    };
    let folder = Path::new(&folder);
    compare(files(&folder.join("rfc4475")), &RFC4475);
    let ended = files(&folder.join("rfc5118")).into_iter().map(|(name, mut octets)| {
        // The files lost their last line ends: a space stands there.
        octets.truncate(octets.trim_ascii_end().len());
        octets.extend_from_slice(b"\r\n");
        if !octets.windows(4).any(|four| four == b"\r\n\r\n") {
            octets.extend_from_slice(b"\r\n");
        }
        (name, octets)
    });
    compare(ended.collect(), &RFC5118);
}
