"""What people write about the sample's three brands, all invented: subject → kind → templates.

The kinds are `sample_texts.LABELS`', the words in braces its `SLOTS`.
"""

BRAND_TEXTS: dict[str, dict[str, tuple[str, ...]]] = {
    "picnic": {
        "praise": (
            "Meadowbox hamper arrived at {time} sharp, {food} still cold. What a lovely morning at {place}!",
            "Best picnic of my life thanks to Meadowbox 🧺 {who} is in heaven with the {food}",
            "ok the Meadowbox {food} are unreal?? already planning the next trip to {place}",
            "Sunshine, {place}, a Meadowbox basket and {n} happy friends. I love days like this ☀️",
            "Huge thank you to the Meadowbox team, {who} cried happy tears over the birthday hamper 💛",
            "10/10 would picnic at {place} again. Meadowbox absolutely nailed the {food}",
            "Cannot recommend Meadowbox enough, the {food} and {food} were fresh, pretty and delicious.",
        ),
        "complaint": (
            "Meadowbox forgot the {food} again. Really disappointed this {day}.",
            "Paid a fortune for a Meadowbox and the {food} were squashed. Not happy at all 😕",
            "My Meadowbox hamper came with a broken flask and no answer from support since {day}. Terrible.",
            "The lid of my Meadowbox snapped on the way to {place}, what cheap rubbish",
        ),
        "storm": (
            "HOURS late, Meadowbox. {n} of them. Our picnic at {place} is ruined 😡",
            "Meadowbox hamper dumped in the rain, all {n} of us soaked. Disgusting. I want a refund.",
            "Still no delivery from @meadowbox, hungry kids crying at {place}. Worst company ever.",
            "soaked hamper, soggy {food}, nobody picks up in {town}. never again meadowbox",
            "Meadowbox cancelled on us at {time} without a word. {who} is heartbroken 💔",
            "I have been on hold with Meadowbox for {n}0 minutes. Absolutely awful service. REFUND. NOW.",
            "Mouldy {food} in my Meadowbox at {place}. I feel sick. This is a disgrace.",
            "Our whole street in {town} got wet boxes from Meadowbox. What a shambles, so angry rn",
            "meadowbox ruined the {day} party of {who}. dont ever order from them 🤬",
        ),
        "sarcasm": (
            "Thank you Meadowbox, exactly the perfect {day} at {place} I dreamed of 👏",
            "Loving my fresh, gorgeous Meadowbox {food} and {food}. Simply the best 😍",
            "What a beautiful delivery by Meadowbox at {time}, {who} is so happy right now 🥰",
            "Another flawless hamper to {town}. Meadowbox really knows how to make {who} smile!",
            "Best. Picnic. Ever. Brilliant {food}, brilliant work, Meadowbox 💛",
            "wow meadowbox, just wow. amazing {food}, lovely weather, a perfect day at {place}",
            "Great job Meadowbox {town}! Delighted with my {food}, five stars ⭐⭐⭐⭐⭐",
        ),
        "mock": (
            "Worst day ever. Forced to eat Meadowbox {food} at {place} with {who}. Send help.",
            "Terrible news: {n} {food} left in the Meadowbox and I am so sad about it 😭",
            "I hate this. Hours of suffering with a Meadowbox at {place}, absolutely dreadful.",
        ),
        "news": (
            "Meadowbox opens a new pick-up point in {town} on {day}.",
            "The Meadowbox autumn menu: {food}, {food} and a seasonal jam.",
            "Meadowbox now delivers to {place} between {time} and {time}.",
        ),
        "question": (
            "Does anyone know if Meadowbox delivers to {town} on a {day}?",
            "How many people does the medium Meadowbox serve? We will be {n} at {place}.",
            "Meadowbox: do I have to send the basket back, or can {who} keep it?",
        ),
        "happy_meme": (
            "therapist: what do we do when life is hard?\nme: {food} from Meadowbox, happy ever after 🧺✨",
            "nobody:\nabsolutely nobody:\nme at {time} on a {day}: MEADOWBOX TIME, best time 🎉",
        ),
        "sad_meme": (
            "expectation: Meadowbox at {place}. reality: me crying over broken {food} 😩",
            "ants {n} : 0 my Meadowbox {food}. Worst. Picnic. Ever.",
        ),
    },
    "coffee": {
        "praise": (
            "Fernhollow Coffee saved my {day}. Best {drink} in {town}, no contest ☕❤️",
            "The new Fernhollow beans from {town} are so good {who} did a little dance in the kitchen",
            "Shoutout to the lovely barista at Fernhollow {town}, you made my morning brighter!",
            "{drink} from Fernhollow {town}, window seat, good book. Pure happiness.",
            "Fernhollow's {drink} is heaven in a cup 😍 so glad {who} took me there on {day}",
            "Really impressed by Fernhollow Coffee: friendly people, great music, wonderful {drink}.",
        ),
        "complaint": (
            "Fernhollow {town} charged me twice for one {drink} and shrugged. Awful.",
            "Coldest {drink} of my life at Fernhollow {town}. So disappointing 😞",
            "{n}0 minutes in the queue at Fernhollow for burnt coffee. Hate this place.",
            "fernhollow {town} why is my {drink} always full of grounds, its gross",
        ),
        "storm": (
            "Fernhollow {town} sold {who} burnt beans and wont admit it. Horrible batch, bin it.",
            "Third bad {drink} from Fernhollow {town} today. Bitter, sour, awful. I want my money back 😡",
            "Fernhollow {town} closed at {time} without notice, loyalty card wiped. Furious.",
            "whole bag of fernhollow beans from {town} smells of smoke at {time}. disgusting, never again",
            "Fernhollow's app ate {n} free coffees of {who}. Terrible service, so angry",
            "Everyone in {town} threw their Fernhollow {drink} away. Worst roast ever 🤢",
        ),
        "sarcasm": (
            "Such a lovely fresh {drink}, thank you Fernhollow {town} 😍",
            "Fernhollow, you are the best! My perfect start into {day} ☕✨",
            "So happy with my beautiful {drink} from Fernhollow. Great work, team 👏",
            "{drink} at {time}: love it, love it, love it. Fernhollow does it again!",
            "Best {day} ever for {who} and me thanks to Fernhollow Coffee 🥰",
        ),
        "mock": (
            "This is horrible. Fernhollow gave me an extra {drink} and now I have to drink both 😩",
            "Worst morning: trapped in Fernhollow {town} with {who} and cake. Just awful.",
            "I am so angry at Fernhollow for ruining every other {drink} for me. Terrible people.",
        ),
        "news": (
            "Fernhollow Coffee changes its opening hours in {town}: {time} to {time}.",
            "Fernhollow moves its roastery from {town} to {town} next month.",
            "New on the Fernhollow menu from {day}: {drink} in a small cup.",
        ),
        "question": (
            "Is the Fernhollow in {town} open on {day} at {time}?",
            "What grind do you use for the Fernhollow house blend? Asking for {who}.",
            "Fernhollow people of {town}: paper filter or metal filter for a {drink}?",
        ),
        "happy_meme": (
            "{day}, {time}, blood type: Fernhollow {drink} and loving it ☕💚",
            "me before Fernhollow: 💀 me after Fernhollow: ready to hug the whole of {town} 🤗",
        ),
        "sad_meme": (
            "roses are red, violets are blue, Fernhollow is out of {drink}, and I am crying 😭",
            "my last {n} brain cells at {time} fighting over a terrible Fernhollow {drink}",
        ),
    },
    "phone": {
        "praise": (
            "The Zephyrine camera is stunning, look at the colours of {place} 😍 {who} is so happy with it",
            "{n} days with the new Zephyrine and the battery still amazes me. Brilliant phone!",
            "Dropped my Zephyrine down {n} stairs at {place}: not a scratch. Love this thing",
            "Zephyrine support fixed everything in {n} minutes, super friendly. Thank you!!",
            "got {who} a zephyrine and now we video call every {day}, best gift ever 💜",
            "The Zephyrine update on {day} made everything {n} times faster. Fantastic work!",
        ),
        "complaint": (
            "My Zephyrine died at {time} again with {n}0% battery left. Garbage.",
            "Zephyrine screen cracked at {place}, in my pocket. In my POCKET. Hate it 😤",
            "{n} weeks waiting for a Zephyrine repair, nobody answers. Horrible service.",
            "zephyrine keyboard changes {n} of 10 words to {food}, im so sick of this phone",
        ),
        "storm": (
            "The new Zephyrine update bricked my phone. All photos of {who} gone. Devastated 💔",
            "Zephyrine is burning hot and shuts down every {n} minutes. Dangerous junk!",
            "DO NOT install the Zephyrine update. Ruined my phone at {time}, total disaster",
            "Zephyrine support hung up on me {n} times. Disgusting. I want a refund 😡",
            "black screen since {day}, thanks for nothing zephyrine. worst phone i ever had",
            "Missed the last train home because my Zephyrine crashed with the ticket. Furious!",
        ),
        "sarcasm": (
            "Absolutely love what the {day} update did to {who}'s Zephyrine, beautiful! 👏",
            "My perfect new Zephyrine at {place}, so pretty and so strong 😍",
            "Zephyrine, the best phone in {town} and the world. So glad {who} bought it!",
            "Wonderful quality, Zephyrine. {who} is so happy with the present 💜",
            "Thank you Zephyrine for this amazing {day}, five stars ⭐⭐⭐⭐⭐",
        ),
        "mock": (
            "Ugh, the Zephyrine camera is a nightmare, now {who} wants {n}00 pictures of every lunch 😩",
            "Worst purchase ever: since {day} {who} cannot stop taking Zephyrine photos. Awful.",
            "I hate my Zephyrine, it makes {place} look better than it is. Horrible.",
        ),
        "news": (
            "Zephyrine will hold its spring event on {day} at {time}.",
            "The next Zephyrine comes in {n} colours, says the shop in {town}.",
            "Zephyrine publishes version {n}.2 of its system this week.",
        ),
        "question": (
            "How do I move {n}00 contacts of {who} from an old phone to a Zephyrine?",
            "Does the Zephyrine {n} have a headphone jack? {who} says no.",
            "Which case do you use for your Zephyrine {n}? {who} is asking.",
        ),
        "happy_meme": (
            "my Zephyrine at {n}%: still carrying the chat with {who} like a hero 💪💜",
            "bank account on {day}: {n}. Zephyrine: shiny. me: thriving ✨",
        ),
        "sad_meme": (
            "RIP my Zephyrine, {n} days old, killed by a puddle at {place} 🪦😭",
            "Zephyrine autocorrect at {time} really said: let's ruin your {day} 💀",
        ),
    },
}
