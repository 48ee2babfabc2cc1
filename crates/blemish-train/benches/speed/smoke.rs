//! Every command once, on small inputs: shows that the benchmark works, and measures nothing.

use std::fs;

use serde_json::{Value, json};

use crate::inputs::scratch;
use crate::work::Bench;

/// Runs all commands and checks what they answer.
pub fn run() {
    let (folder, mut bench) = (scratch("smoke"), Bench::default());
    let mut ask = |command: Value| -> Value {
        let answer = bench.run(serde_json::from_value(command.clone()).expect("a command"));
        println!("{} {}", command["op"], answer.to_string().chars().take(120).collect::<String>());
        answer
    };
    let timed = |answer: &Value, repeats: usize| {
        let times: Vec<f64> = serde_json::from_value(answer["seconds"].clone()).expect("seconds");
        assert!(times.len() == repeats && times.iter().all(|t| *t > 0.0), "{answer}");
    };
    for (preset, channels) in [("light", 1), ("diyt", 3)] {
        let at = folder.join(preset);
        ask(json!({ "op": "prepare", "folder": at, "preset": preset, "channels": channels,
            "image_size": [64, 64], "images": 2 }));
        for (scoring, training) in [("f32", "f32"), ("bf16", "bf16"), ("int8", "bf16")] {
            ask(json!({ "op": "load", "folder": at, "scoring": scoring, "training": training }));
            timed(&ask(json!({ "op": "forward", "batch": 1, "repeats": 1 })), 1);
        }
        timed(&ask(json!({ "op": "step", "batch": 1, "repeats": 1 })), 1);
        let loaded = ask(json!({ "op": "load", "folder": at }));
        timed(&loaded, 1);
        assert!(loaded["flops"].as_u64() > Some(0) && loaded["scoring"].is_string());
        let output = at.join("output.f32");
        timed(&ask(json!({ "op": "forward", "batch": 2, "repeats": 2, "output": output })), 2);
        let values = 2 * 64 * 64 * (channels + usize::from(preset == "light"));
        assert_eq!(fs::metadata(output).unwrap().len() as usize, 4 * values);
        timed(&ask(json!({ "op": "score", "batch": 1, "passes": 4, "repeats": 1 })), 1);
        let loss = ask(json!({ "op": "loss", "batch": 2 }));
        assert!(loss["loss"].as_f64() > Some(0.0) && loss["gradient_norm"].as_f64() > Some(0.0), "{loss}");
        timed(&ask(json!({ "op": "step", "batch": 2, "repeats": 1 })), 1);
    }
    timed(&ask(json!({ "op": "matmul", "size": 64, "repeats": 2 })), 2);
    let at = folder.join("maps");
    ask(json!({ "op": "maps", "folder": at, "count": 8, "size": 32 }));
    let pro = ask(json!({ "op": "aupro", "folder": at, "count": 8, "size": 32, "repeats": 1 }));
    assert!((0.0..1.0).contains(&pro["value"].as_f64().unwrap_or(f64::NAN)), "{pro}");
    let at = folder.join("images");
    ask(json!({ "op": "images", "folder": at, "count": 3, "distinct": 2, "size": 64, "channels": 3 }));
    assert_eq!(fs::read_dir(&at).unwrap().count(), 3);
    ask(json!({ "op": "load", "folder": folder.join("diyt") }));
    let parts = ask(json!({ "op": "parts", "folder": at }));
    assert!(parts["decode"].as_f64() > Some(0.0), "{parts}");
    fs::remove_dir_all(&folder).unwrap();
}
