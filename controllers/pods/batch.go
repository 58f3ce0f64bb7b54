package pods

import (
	"errors"
	"sync"
)

// SlowStart calls do count times, concurrently in batches of 1, 2, 4, 8, …, with the indexes from 0, and stops after the
// first batch that had an error: so a template that the API refuses costs one request, not hundreds.
// It returns how many calls succeeded and the first error.
func SlowStart(count int, do func(i int) error) (int, error) {
	succeeded := 0
	for batch := 1; count > 0; batch *= 2 {
		size := min(batch, count)
		first := succeeded
		errs := Parallel(size, func(i int) error { return do(first + i) })
		succeeded += size - len(errs)
		if len(errs) > 0 {
			return succeeded, errs[0]
		}
		count -= size
	}
	return succeeded, nil
}

// Parallel calls do for 0 … n-1 concurrently and returns the errors, in the order of the indexes.
func Parallel(n int, do func(i int) error) []error {
	if n == 1 {
		if err := do(0); err != nil {
			return []error{err}
		}
		return nil
	}
	results := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { results[i] = do(i) })
	}
	all.Wait()
	errs := results[:0]
	for _, err := range results {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Join is Parallel with one error.
func Join(n int, do func(i int) error) error { return errors.Join(Parallel(n, do)...) }
