// Doubly linked lists whose members carry their own links: joining and leaving, also from the middle, is O(1), allocates nothing,
// and needs no knowledge of which list it is.

/** One that is in no list is linked to itself. */
export class Link {
  previous: Link = this
  next: Link = this

  /** Leaves the list it is in, if it is in one. */
  unlink(): void {
    this.previous.next = this.next
    this.next.previous = this.previous
    this.previous = this
    this.next = this
  }
}

/** It closes the circle of its members. */
export class Queue<L extends Link> extends Link {
  get first(): L | undefined {
    return this.next === this ? undefined : (this.next as L)
  }

  get last(): L | undefined {
    return this.previous === this ? undefined : (this.previous as L)
  }

  /** Puts it last, wherever it stood before. */
  add(link: L): void {
    link.unlink()
    link.previous = this.previous
    link.next = this
    this.previous.next = link
    this.previous = link
  }
}
