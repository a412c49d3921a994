"use client";

import "../page.js";

export default function Page() {
  return <p>a consumer</p>;
}
