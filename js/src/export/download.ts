/** Hands a file to the browser, which saves it as it saves any download. */
export function download(name: string, mime: string, content: DataView | undefined): void {
  // A copy: the view may be a piece of a larger message.
  const bytes = content
    ? new Uint8Array(content.buffer, content.byteOffset, content.byteLength).slice()
    : new Uint8Array();
  const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
