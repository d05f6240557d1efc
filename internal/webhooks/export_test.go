package webhooks

import "time"

// Hasten makes a deliverer repeat calls at once and give up after n of them.
func (d *Deliverer) Hasten(n int) {
	d.lease, d.delays = time.Second, make([]time.Duration, n-1)
}

// Public is public.
var Public = public
