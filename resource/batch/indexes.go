package batch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// countIndexes reads a list of completion indexes such as "1,3-5,7" and says how many there are. Indexes must be
// below completions and in order.
func countIndexes(list string, completions int32) (int32, error) {
	if list == "" {
		return 0, nil
	}
	var total int32
	last := int32(-1)
	for interval := range strings.SplitSeq(list, ",") {
		first, end, ranged := strings.Cut(interval, "-")
		if strings.Contains(end, "-") {
			return 0, fmt.Errorf("the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", interval)
		}
		x, err := index(first, completions)
		if err != nil {
			return 0, err
		}
		if x <= last {
			return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", last, x)
		}
		y := x
		if ranged {
			if y, err = index(end, completions); err != nil {
				return 0, err
			}
			if x >= y {
				return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", x, y)
			}
		}
		total += y - x + 1
		last = y
	}
	return total, nil
}

func index(text string, completions int32) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	}
	if n < 0 {
		return 0, errors.New("negative index")
	}
	if int32(n) >= completions {
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return int32(n), nil
}
