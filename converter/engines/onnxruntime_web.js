// One run of a model in ONNX Runtime Web: `node onnxruntime_web.js run FOLDER`, which holds
// asked.json and the inputs' bytes (in0, in1, ...); answer.json and out0, out1, ... are written.
"use strict";

const fs = require("fs");
const path = require("path");
// The package is the caller's, of the folder where the caller stands or of NODE_PATH.
const found = require.resolve("onnxruntime-web", {
  paths: [process.cwd(), ...(process.env.NODE_PATH || "").split(path.delimiter)],
});
const ort = require(found);
ort.env.wasm.numThreads = 1;

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

async function run(folder) {
  const asked = JSON.parse(fs.readFileSync(path.join(folder, "asked.json"), "utf8"));
  const feeds = {};
  asked.inputs.forEach((one, place) => {
    const bytes = new Uint8Array(fs.readFileSync(path.join(folder, `in${place}`)));
    feeds[one.name] = new ort.Tensor(one.type, new ARRAYS[one.type](bytes.buffer), one.dims);
  });
  const weights = `${asked.model}.data`;
  const options = fs.existsSync(weights)
    ? { externalData: [{ path: path.basename(weights), data: fs.readFileSync(weights) }] }
    : {};
  const session = await ort.InferenceSession.create(fs.readFileSync(asked.model), options);
  const results = await session.run(feeds);
  const answer = session.outputNames.map((name, place) => {
    const value = results[name];
    const { buffer, byteOffset, byteLength } = value.data;
    fs.writeFileSync(path.join(folder, `out${place}`), Buffer.from(buffer, byteOffset, byteLength));
    return { name, type: value.type, dims: value.dims };
  });
  fs.writeFileSync(path.join(folder, "answer.json"), JSON.stringify(answer));
}

async function main(what, folder) {
  if (what === "version") {
    console.log(`${ort.env.versions.web} (Node ${process.versions.node})`);
  } else {
    await run(folder);
  }
}

main(...process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(`Error: ${error && error.message ? error.message : error}`);
    process.exit(1);
  },
);
