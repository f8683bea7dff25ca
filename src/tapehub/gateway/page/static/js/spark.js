// A line of the last minutes' closes, ended by the present price.
import { colour } from "./dom.js";

const drawn = new WeakMap();
const HEIGHT = 22;

/** @param width of the canvas as laid out; asking each canvas for it would lay out the page anew each time. */
export function drawSpark(canvas, row, width) {
  const points = row.closes.map(([, close]) => close);
  if (row.bid !== null) points.push((row.bid + row.ask) / 2);
  const ratio = devicePixelRatio || 1;
  const tone = points.length > 1 ? (points.at(-1) >= points[0] ? "up" : "down") : "muted";
  const ink = colour(tone);
  const known = `${points.length} ${points[0]} ${points.at(-1)} ${ink} ${ratio} ${width}`;
  if (drawn.get(canvas) === known) return;
  drawn.set(canvas, known);
  const height = HEIGHT;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  if (points.length < 2) return;
  const ink2d = canvas.getContext("2d");
  ink2d.scale(ratio, ratio);
  const low = Math.min(...points);
  const room = Math.max(...points) - low || 1;
  const x = (at) => 1 + (at / (points.length - 1)) * (width - 5);
  const y = (value) => height - 3 - ((value - low) / room) * (height - 6);
  ink2d.beginPath();
  points.forEach((value, at) => (at ? ink2d.lineTo(x(at), y(value)) : ink2d.moveTo(x(at), y(value))));
  ink2d.strokeStyle = ink;
  ink2d.lineWidth = 1.25;
  ink2d.lineJoin = "round";
  ink2d.stroke();
  ink2d.beginPath();
  ink2d.arc(x(points.length - 1), y(points.at(-1)), 1.8, 0, 7);
  ink2d.fillStyle = ink;
  ink2d.fill();
}
